// The panel Continue: a prompt and the texts that follow it, as they come.

import { ask, events, Problem, Unreachable } from "./api.js";
import { showCost } from "./cost.js";
import { count, duration, make } from "./dom.js";
import { Runner } from "./runner.js";

const SEEDS = 1_000_000; // short ones, that can be read out
const NUMBERS = ["temperature", "top_p", "top_k", "max_tokens", "n", "seed"];
const BROKEN = "The connection broke off before the text was complete.";
const ENDS = { stop: "at a stop string", length: "at max tokens" };

export class Continue {
  constructor(panel, changed) {
    this.panel = panel;
    this.changed = changed;
    this.runner = new Runner(panel, (signal, waiting) => this.write(signal, waiting));
    this.form = this.runner.form;
    this.submit = panel.querySelector(".primary");
    this.stop = panel.querySelector(".stop");
    this.stop.addEventListener("click", () => {
      this.runner.stop();
      this.submit.focus();
    });
  }

  /** What the form says, as a request; the page draws the seed itself, so that it is known from the first character. */
  get body() {
    const { prompt, model, stop } = this.form.elements;
    const body = { prompt: prompt.value, model: model.value || null, stream: true };
    for (const name of NUMBERS) {
      if (this.form.elements[name].value !== "") body[name] = Number(this.form.elements[name].value);
    }
    body.seed ??= crypto.getRandomValues(new Uint32Array(1))[0] % SEEDS;
    body.stop = stop.value.split("\n").filter(Boolean).map((line) => line.replaceAll("\\n", "\n"));
    return body;
  }

  async write(signal, waiting) {
    const body = this.body;
    const { prompt, stop, ...numbers } = body;
    const state = Object.fromEntries(NUMBERS.filter((name) => name in numbers).map((name) => [name, numbers[name]]));
    const texts = this.texts = Array.from({ length: body.n ?? 1 }, (_, i) => new Text(prompt, body.seed + i, (seed) => this.take(seed)));
    this.panel.querySelector(".texts").replaceChildren(...texts.map((text) => text.element));
    this.panel.querySelector(".cost").hidden = true;
    this.summarize("writing");
    this.running(true);
    const began = performance.now();
    try {
      const response = await ask("generate", body, { signal, waiting, accept: "text/event-stream" });
      this.runner.say("");
      const answered = performance.now() - began;
      let first = null;
      await this.follow(response, texts, signal, () => (first ??= performance.now() - began));
      const all = texts.reduce((sum, text) => sum + text.tokens, 0);
      const seconds = (performance.now() - began) / 1000;
      this.summarize(`${count(all, "character")} in ${duration(seconds * 1000)}`);
      const more = [["to the first character", first === null ? "–" : duration(first)], ["characters per second", (all / seconds).toFixed(0)]];
      showCost(this.panel.querySelector(".cost"), response, answered, more, "What its beginning cost");
      this.changed({ prompt, stop: this.form.elements.stop.value, ...state });
    } catch (error) {
      this.summarize(signal.aborted ? "stopped" : "broken off");
      for (const text of texts) text.end(signal.aborted ? "stopped" : "broken off");
      if (!texts.some((text) => text.tokens)) for (const text of texts) text.element.remove();
      throw error;
    } finally {
      if (this.texts === texts) this.running(false);
    }
  }

  /** Writes an answer as it comes; `began` is called with each piece. */
  async follow(response, texts, signal, began) {
    let unfinished = texts.length;
    try {
      for await (const { kind, data } of events(response)) {
        if (kind === "error") throw new Problem(data);
        if (kind === "finish") {
          texts[data.index].end(ENDS[data.finish_reason] ?? data.finish_reason, data.tokens);
          unfinished--;
        } else {
          began();
          texts[data.index].add(data.text);
        }
      }
    } catch (error) {
      throw error instanceof Problem || signal.aborted ? error : new Unreachable(0, BROKEN);
    }
    if (unfinished) throw new Unreachable(0, BROKEN);
  }

  running(yes) {
    this.stop.hidden = !yes;
    this.submit.textContent = yes ? "Start again" : "Continue";
  }

  take(seed) {
    this.form.elements.seed.value = seed;
    this.form.elements.seed.focus();
  }

  summarize(text) {
    this.panel.querySelector(".summary").textContent = text;
  }
}

class Text {
  constructor(prompt, seed, take) {
    this.tokens = 0;
    this.written = document.createTextNode("");
    this.facts = make("span", { class: "facts" }, "writing");
    this.element = make(
      "article",
      { class: "text writing" },
      make("p", { class: "written" }, make("span", { class: "prompt" }, prompt), this.written),
      make("p", { class: "about" }, this.facts, make("button", { type: "button", onclick: () => take(seed) }, `Take seed ${seed}`)),
    );
  }

  add(piece) {
    this.written.appendData(piece);
    this.tokens += piece.length;
  }

  end(how, tokens = this.tokens) {
    if (!this.element.classList.contains("writing")) return;
    this.tokens = tokens;
    this.element.classList.remove("writing");
    this.facts.textContent = `${count(tokens, "character")}, ended ${how}`;
  }
}

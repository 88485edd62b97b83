// The panel Generate: a prompt and its continuations, shown as they arrive.

import { Problem, read, readEvents, request, Unreachable } from "./api.js";
import { showCost } from "./cost.js";
import { count, duration, make } from "./dom.js";
import { Panel } from "./panel.js";
import { Unreadable } from "./table.js";

const SEEDS = 1_000_000; // drawn seeds are below, short enough to be read out
const NUMBERS = ["temperature", "top_p", "top_k", "max_tokens", "n", "seed"];
const MOST_NAMED = 12; // unknown characters
const INTERRUPTED = "The connection was lost before the text was complete.";
const ENDINGS = {
  stop: "ended at a stop string",
  length: "ended at the length",
  shutdown: "ended because the service shut down",
};

export class Generate extends Panel {
  task = "generate";
  automatic = false; // generation takes long
  texts = [];
  known = new Map(); // of each model, a promise of what /models says about it

  constructor(element, onRequest) {
    super(element, onRequest);
    this.list = element.querySelector(".texts");
    this.submitButton = element.querySelector(".primary");
    this.unknown = element.querySelector(".unknown");
    this.form.elements.prompt.addEventListener("input", () => this.showUnknown());
    this.form.elements.model.addEventListener("change", () => this.showUnknown());
    this.more = element.querySelector(".more");
    this.more.addEventListener("input", () => this.showSettings());
    this.stopButton = element.querySelector(".stop");
    this.stopButton.addEventListener("click", () => {
      this.stop();
      this.submitButton.focus();
    });
  }

  /** The form's fields; an empty seed is drawn here, so that the address reproduces the text. */
  get fieldsToSend() {
    const { fields } = this;
    fields.seed ||= String(crypto.getRandomValues(new Uint32Array(1))[0] % SEEDS);
    return fields;
  }

  /** Sets the values of fields. A slider is extended to a value that it does not have. */
  fill(fields) {
    for (const slider of this.sliders) extend(slider, Number(fields[slider.name] ?? slider.value));
    super.fill(fields);
    this.showUnknown();
    this.showSettings();
  }

  get sliders() {
    return this.more.querySelectorAll("[type=range]");
  }

  /** Shows the values of the sliders, beside each and, if they are folded away, together. */
  showSettings() {
    for (const { id, value } of this.sliders) this.more.querySelector(`output[for=${id}]`).value = id === "top-k" && value === "0" ? "all" : value;
    const { temperature, max_tokens: most, n } = this.form.elements;
    const texts = n.value === "1" ? "" : `, ${n.value} texts`;
    this.more.querySelector("small").textContent = `temperature ${temperature.value}, ${most.value} characters${texts}`;
  }

  /** Shows a message; unfolds the fields that it is about. */
  showMessage(text, kind, fields = []) {
    super.showMessage(text, kind, fields);
    if (fields.some((name) => this.more.querySelector(`[name=${name}]`))) this.more.open = true;
  }

  /** Names the characters of the prompt that the model does not know. `retry`: asks again if the service did not say which. */
  async showUnknown(retry = false) {
    const { model } = this;
    if (retry && (await this.known.get(model)) === null) this.known.delete(model);
    if (model && !this.known.has(model)) this.known.set(model, read(`models/${encodeURIComponent(model)}`));
    const detail = await this.known.get(model);
    if (model !== this.model) return;
    const known = detail?.characters ? new Set(detail.characters) : null;
    const unknown = known ? [...new Set(this.form.elements.prompt.value)].filter((character) => !known.has(character)) : [];
    this.unknown.hidden = unknown.length === 0;
    if (unknown.length === 0) return;
    const names = unknown.slice(0, MOST_NAMED).flatMap((character) => [" ", make("bdi", { class: "character" }, visible(character))]);
    const more = unknown.length > MOST_NAMED ? ` and ${unknown.length - MOST_NAMED} more` : "";
    this.unknown.replaceChildren("The model does not know these characters:", ...names, `${more}. It reads each as the same unknown one.`);
  }

  async work(fields, signal, onRetry) {
    const body = this.bodyOf(fields);
    this.showUnknown(true);
    this.clear();
    const texts = (this.texts = []);
    this.showRunning(true);
    const began = performance.now();
    try {
      const response = await request("generate", body, { signal, onRetry, accept: "text/event-stream" });
      this.showMessage("");
      this.summary.textContent = "writing";
      const answeredMs = performance.now() - began;
      texts.push(...Array.from({ length: body.n ?? 1 }, (_, i) => new Text(body.prompt, body.seed + i, (seed) => this.useSeed(seed))));
      this.list.append(...texts.map((text) => text.element));
      let firstMs = null;
      await this.receive(response, texts, signal, () => (firstMs ??= performance.now() - began));
      this.showTotals(response, { answeredMs, firstMs, totalMs: performance.now() - began });
      const { stream: _, ...plain } = body;
      this.setResult({ model: body.model, results: texts.map((text) => text.result) }, plain);
    } catch (error) {
      for (const text of texts) text.end(signal.aborted ? "stopped" : "interrupted");
      if (this.texts === texts) this.summary.textContent = signal.aborted ? "stopped" : "";
      throw error;
    } finally {
      if (this.texts === texts) this.showRunning(false);
    }
  }

  /** Returns the request's body for the form's fields. */
  bodyOf(fields) {
    const numbers = NUMBERS.filter((name) => fields[name] !== "").map((name) => [name, Number(fields[name])]);
    const stop = fields.stop.split("\n").filter(Boolean).map((line) => line.replaceAll("\\n", "\n"));
    return { prompt: fields.prompt, model: this.model, stream: true, stop, ...Object.fromEntries(numbers) };
  }

  /** Adds the events of a response to the texts; calls `onChunk` with each chunk. */
  async receive(response, texts, signal, onChunk) {
    let unfinished = texts.length;
    try {
      for await (const { kind, data } of readEvents(response)) {
        if (kind === "error") throw new Problem(data);
        if (kind === "finish") {
          texts[data.index].finish(data);
          unfinished--;
        } else {
          onChunk();
          texts[data.index].add(data.text);
        }
      }
    } catch (error) {
      throw error instanceof Problem || signal.aborted ? error : new Unreachable(0, INTERRUPTED);
    }
    if (unfinished) throw new Unreachable(0, INTERRUPTED);
  }

  /** Shows how many characters were written, and in which time. */
  showTotals(response, { answeredMs, firstMs, totalMs }) {
    const characters = this.texts.reduce((sum, text) => sum + text.characters, 0);
    const total = duration(totalMs);
    const seconds = Number(total.split(" ")[0]) / (totalMs < 1000 ? 1000 : 1); // as shown: 87.5 ms would be rounded otherwise as seconds
    this.summary.textContent = `${count(characters, "character")} in ${total}`;
    const facts = [
      ["to the first character", firstMs === null ? "–" : duration(firstMs)],
      ["to the last character", total],
      ["characters per second", (characters / seconds).toFixed(0)],
    ];
    showCost(this.cost, response, answeredMs, { title: "Time until the answer began", facts });
  }

  clear() {
    super.clear();
    this.list.replaceChildren();
  }

  /** Shows an error. Texts that it interrupted stay, unless nothing of them had arrived. */
  fail(error) {
    if (!(error instanceof Unreadable) && this.texts.some((text) => text.characters > 0)) this.showError(error);
    else super.fail(error);
  }

  showRunning(running) {
    this.stopButton.hidden = !running;
    this.submitButton.textContent = running ? "Start again" : "Generate";
  }

  useSeed(seed) {
    this.more.open = true;
    this.form.elements.seed.value = seed;
    this.form.elements.seed.focus();
  }
}

/** Extends a slider to a value beyond its ends, or between its steps. */
function extend(slider, value) {
  slider.value = value;
  if (Number(slider.value) === value) return;
  slider.step = "any";
  slider.min = Math.min(slider.min, value);
  slider.max = Math.max(slider.max, value);
}

/** Returns a character that can be seen: by its code point where it has no shape of its own. */
function visible(character) {
  const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return /[\p{Z}\p{C}\p{M}]/u.test(character) ? `U+${code}` : character;
}

/** A text that is being generated. */
class Text {
  characters = 0; // code points, without a stop string
  result = null;

  constructor(prompt, seed, useSeed) {
    this.written = document.createTextNode("");
    this.facts = make("span", { class: "facts" }, "writing");
    this.element = make(
      "article",
      { class: "text writing" },
      make("p", { class: "written", dir: "auto" }, make("span", { class: "prompt" }, prompt), this.written),
      make("p", { class: "about" }, this.facts, make("button", { type: "button", onclick: () => useSeed(seed) }, `Use seed ${seed}`)),
    );
  }

  add(chunk) {
    this.written.appendData(chunk);
    this.characters += Array.from(chunk).length;
  }

  /** Ends the text as the service says; keeps its result. */
  finish({ finish_reason, tokens, seed }) {
    this.result = { text: this.written.data, finish_reason, tokens, seed };
    this.end(ENDINGS[finish_reason] ?? finish_reason);
  }

  end(how) {
    if (!this.element.classList.contains("writing")) return;
    this.element.classList.remove("writing");
    this.facts.textContent = `${count(this.characters, "character")}, ${how}`;
  }
}

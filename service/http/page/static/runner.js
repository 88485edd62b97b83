// A form that is worked on: one piece of work at a time, the latest wins; errors are said in sentences.

import { make } from "./dom.js";

const SHORTEST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 2500;

export class Runner {
  /** `work(signal, waiting)` does the work of a panel; `waiting` says why it has to wait. */
  constructor(panel, work) {
    this.form = panel.querySelector("form");
    this.answer = panel.querySelector(".answer");
    this.message = panel.querySelector(".message");
    this.work = work;
    this.lastMs = 0;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    for (const field of panel.querySelectorAll("textarea")) {
      field.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        this.run();
      });
    }
  }

  /** Runs once the typing pauses; the longer the last run took, the longer the pause has to be. */
  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.runQuietly(), Math.min(Math.max(SHORTEST_PAUSE_MS, 2 * this.lastMs), LONGEST_PAUSE_MS));
  }

  /** Runs now, as somebody wishes who then wants to see the answer. */
  run() {
    if (this.answer.getBoundingClientRect().top > 0.7 * window.innerHeight) this.answer.scrollIntoView();
    return this.runQuietly();
  }

  /** Runs now, instead of what runs already. */
  async runQuietly() {
    this.stop();
    const control = (this.control = new AbortController());
    this.answer.setAttribute("aria-busy", "true");
    const began = performance.now();
    try {
      await this.work(control.signal, (error) => this.say(`${error.message} The page keeps trying.`, "waiting"));
      this.say("");
    } catch (error) {
      if (!control.signal.aborted) this.fail(error);
    }
    if (this.control !== control) return;
    this.control = null;
    this.lastMs = performance.now() - began;
    this.answer.setAttribute("aria-busy", "false");
  }

  /** Stops what runs. */
  stop() {
    clearTimeout(this.timer);
    this.control?.abort();
  }

  fail(error) {
    const known = error.problem !== undefined || error.retryAfter !== undefined;
    this.say(known ? error.message : `The page failed: ${error.message}.`, "error", error.fields);
    if (!known) console.error(error);
    if (error.fields?.length) return;
    this.message.append(" ", make("button", { type: "button", onclick: () => this.run() }, "Try again"));
  }

  /** Shows a sentence, or none, and marks the fields that it is about. */
  say(sentence, kind = "", fields = []) {
    this.message.hidden = !sentence;
    this.message.dataset.kind = kind;
    if (this.message.textContent !== sentence) this.message.textContent = sentence;
    for (const field of this.form.elements) {
      if (field.name && fields.includes(field.name)) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute?.("aria-invalid");
    }
  }
}

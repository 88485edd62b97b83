// A panel: a form, the answer to its latest request, and messages. The panels of the tasks derive from it.

import { link } from "./address.js";
import { copyText } from "./clipboard.js";
import { make } from "./dom.js";

const MIN_TYPING_PAUSE_MS = 250;
const MAX_TYPING_PAUSE_MS = 2500;

/** The form lacks something that the request needs. */
export class MissingInput extends Error {}

/** Returns what a correction says of an answer to a text. */
export function answerOf({ model, version }, response, text) {
  return { model, version, text, requestId: response.headers.get("X-Request-ID") };
}

export class Panel {
  task = ""; // as the API names it
  furtherChoices = new Map(); // beside the models in their menu: values and labels; the first is the default
  automatic = true; // whether changes of the form and the address are sent without a click

  /** `onRequest(fields, cause)` is called with the form's fields before each request. */
  constructor(element, onRequest) {
    this.element = element;
    this.onRequest = onRequest;
    this.form = element.querySelector("form");
    this.answer = element.querySelector(".answer");
    this.message = element.querySelector(".message");
    this.summary = element.querySelector(".summary");
    this.cost = element.querySelector(".cost");
    this.copyJsonButton = element.querySelector(".copy-json");
    this.requested = null; // the fields of the latest request
    this.restoredModel = null; // the model of the address, until the menu has it
    this.defaultModel = null;
    this.result = null; // the answer, for "Copy as JSON"
    this.lastRunMs = 0;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.form.elements.model.addEventListener("change", () => this.automatic && this.submit());
    for (const field of this.form.querySelectorAll("textarea")) {
      field.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        this.submit();
      });
    }
    this.copyJsonButton.addEventListener("click", () => this.copy(JSON.stringify(this.result, null, 2), "Copied as JSON"));
    element.querySelector(".copy-link").addEventListener("click", () => this.copyLink());
  }

  /** Sends the request of `fields` and shows its answer. Derived classes implement it. */
  work(_fields, _signal, _onRetry) {
    throw new Error("not implemented");
  }

  /** The form's fields and their values; without the model if there is no choice. */
  get fields() {
    const fields = Object.fromEntries(new FormData(this.form));
    if (this.form.elements.model.closest("label").hidden) delete fields.model;
    return fields;
  }

  /** Whether the form is as the latest request sent it. An empty seed was drawn for the request. */
  get isAnswered() {
    if (!this.requested) return false;
    return Object.entries(this.fields).every(([name, value]) => value === this.requested[name] || (name === "seed" && !value));
  }

  /** The fields for the address: those of the answer that is shown, or of the form if it has changed since. */
  get addressFields() {
    return this.isAnswered ? this.requested : this.fields;
  }

  /** The model to request, or null for the service's default. */
  get model() {
    return this.form.elements.model.value || null;
  }

  /** Sets the values of fields. A model that is not in the menu is selected once it is. */
  fill(fields) {
    for (const [name, value] of Object.entries(fields)) {
      const field = this.form.elements.namedItem(name);
      if (name === "model" && !Array.from(field.options).some((option) => option.value === value)) this.restoredModel = value;
      else if (field) field.value = value;
    }
  }

  /** Sets the fields to those of the address, and shows their answer unless it is shown already. */
  restore(fields) {
    clearTimeout(this.typingTimer);
    this.fill(fields);
    if (this.isAnswered) return;
    if (this.automatic) {
      this.run("restore");
      return;
    }
    this.stop();
    this.showMessage("");
    this.clear();
  }

  /** Offers the ready models of the task in a menu, if there are several, after what else the panel offers. */
  offerModels(models) {
    const select = this.form.elements.model;
    const label = select.closest("label");
    const ready = models.filter(({ task, state }) => task === this.task && state === "ready");
    const names = [...new Set(ready.map(({ name }) => name))];
    const choices = names.length < 2 ? names : [...this.furtherChoices.keys(), ...names];
    if (choices.join() === Array.from(select.options, ({ value }) => value).join()) return;
    const chosen = label.hidden ? null : select.value;
    this.defaultModel = ready.find((model) => model.default)?.name ?? null;
    const wanted = [this.restoredModel, chosen, ...this.furtherChoices.keys(), this.defaultModel];
    select.replaceChildren(...choices.map((name) => make("option", { value: name }, this.furtherChoices.get(name) ?? name)));
    select.value = wanted.find((name) => choices.includes(name)) ?? choices[0] ?? "";
    label.hidden = names.length < 2;
    this.restoredModel = null;
  }

  /** Sends the form once the user pauses typing; the pause depends on the time of the last run. */
  runAfterPause() {
    clearTimeout(this.typingTimer);
    const pauseMs = Math.min(Math.max(MIN_TYPING_PAUSE_MS, 2 * this.lastRunMs), MAX_TYPING_PAUSE_MS);
    this.typingTimer = setTimeout(() => this.run("typing"), pauseMs);
  }

  /** Sends the form on the user's command, and scrolls to the answer if it is out of view. */
  submit() {
    if (this.answer.getBoundingClientRect().top > 0.7 * window.innerHeight) this.answer.scrollIntoView();
    return this.run("submit");
  }

  /** Sends the form; aborts the request in progress. `cause`: "load", "restore", "submit" or "typing". */
  async run(cause) {
    this.stop();
    const control = (this.control = new AbortController());
    this.answer.setAttribute("aria-busy", "true");
    const began = performance.now();
    this.requested = this.fieldsToSend;
    this.onRequest(this.requested, cause);
    const onRetry = (error) => {
      this.clear();
      this.showMessage(`${error.message} The page keeps trying.`, "waiting");
    };
    try {
      await this.work(this.requested, control.signal, onRetry);
      this.showMessage("");
    } catch (error) {
      if (!control.signal.aborted) this.fail(error);
    }
    if (this.control !== control) return;
    this.control = null;
    this.lastRunMs = performance.now() - began;
    this.answer.setAttribute("aria-busy", "false");
  }

  /** The fields of the next request. */
  get fieldsToSend() {
    return this.fields;
  }

  /** Aborts the request in progress, and one that waits for a pause in typing. */
  stop() {
    clearTimeout(this.typingTimer);
    this.control?.abort();
  }

  /** Removes the answer. */
  clear() {
    this.cost.hidden = true;
    this.summary.textContent = "";
    this.setResult(null);
  }

  /** Sets what "Copy as JSON" copies. */
  setResult(result) {
    this.result = result;
    this.copyJsonButton.disabled = result === null;
  }

  /** Replaces the answer by an error. */
  fail(error) {
    this.clear();
    if (error instanceof MissingInput) this.showMessage(error.message, "hint");
    else this.showError(error);
  }

  /** Shows an error, with a button to retry where that may help. */
  showError(error) {
    const known = error.problem !== undefined || error.retryAfter !== undefined;
    this.showMessage(known ? error.message : `The page failed: ${error.message}.`, "error", error.fields);
    if (!known) console.error(error);
    if (error.fields?.length > 0) return;
    this.message.append(" ", make("button", { type: "button", onclick: () => this.submit() }, "Try again"));
  }

  /** Shows a message, or none, and marks the fields that it is about as invalid. */
  showMessage(text, kind = "", fields = []) {
    this.message.hidden = !text;
    this.message.dataset.kind = kind;
    if (this.message.textContent !== text) this.message.textContent = text;
    for (const field of this.form.elements) {
      if (field.name && fields.includes(field.name)) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute?.("aria-invalid");
    }
  }

  /** Copies a text, or a promise of one, and says so. */
  async copy(text, done) {
    try {
      await copyText(text);
      this.summary.textContent = done;
    } catch (error) {
      this.showError(error);
    }
  }

  copyLink() {
    const address = link();
    if (address) this.copy(address, "Link copied");
    else this.summary.textContent = "The text is too long for a link.";
  }
}

// A panel: a form, the answer to its latest request, and messages. The panels of the tasks derive from it.

import { requestWithOptional, supported } from "./api.js";
import { make } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { answerFile, Unreadable } from "./table.js";
import { Tools } from "./tools.js";

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
  furtherChoices = new Map(); // beside several models in their menu: values and titles; the first is the default
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
    this.table = element.querySelector(".table");
    this.tools = new Tools(this);
    this.requested = null; // the fields of the latest request
    this.seen = false; // whether anything was requested
    this.restored = new Map(); // of the address: choices of menus that do not have them yet
    this.defaultModel = null;
    this.shownExamples = [];
    this.lastRunMs = 0;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    for (const menu of this.form.querySelectorAll("select")) menu.addEventListener("change", () => this.changeModel());
    for (const field of this.form.querySelectorAll("textarea")) {
      field.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        this.submit();
      });
    }
  }

  /** Sends the request of `fields` and shows its answer. Derived classes implement it. */
  work(_fields, _signal, _onRetry) {
    throw new Error("not implemented");
  }

  /** The form's fields and their values; without a menu that is hidden or has no choice. */
  get fields() {
    const fields = Object.fromEntries(new FormData(this.form));
    for (const menu of this.form.querySelectorAll("select")) if (!menu.value || menu.closest("label").hidden) delete fields[menu.name];
    return fields;
  }

  /** Whether the form is as the latest request sent it. An empty seed was drawn for the request. */
  get isAnswered() {
    if (!this.requested) return false;
    const fields = Object.entries(this.fields);
    if (fields.length !== Object.keys(this.requested).length) return false;
    return fields.every(([name, value]) => value === this.requested[name] || (name === "seed" && !value));
  }

  /** The fields for the address: those of the answer that is shown, or of the form if it has changed since. */
  get addressFields() {
    return this.isAnswered ? this.requested : this.fields;
  }

  /** The model to request, or null for the service's default. */
  get model() {
    return this.form.elements.model.value || null;
  }

  /** The examples: [title, fields]. */
  get examples() {
    return EXAMPLES[this.task];
  }

  /** Returns the fields of a request that say which model is to answer it. */
  fieldsOf(model) {
    return { model };
  }

  /** Returns a model's name for people. */
  titleOf(name) {
    return name;
  }

  /** Requests the answer of the chosen model, and that of the one to compare it with, if there is one. */
  ask(fields, optional, options) {
    const models = [this.model, ...(this.fields.compare ? [this.fields.compare] : [])];
    return Promise.all(
      models.map(async (model) => {
        const body = { ...fields, ...this.fieldsOf(model) };
        const began = performance.now();
        const response = await requestWithOptional(this.task, body, optional, options);
        const answer = await response.json();
        const roundTripMs = performance.now() - began;
        const title = `${this.titleOf(answer.model)}, version ${answer.version}`;
        return { answer, response, body: supported(this.task, body, optional), roundTripMs, title };
      }),
    );
  }

  /** Sets the values of fields. A choice that a menu does not have is selected once it has. */
  fill(fields) {
    for (const [name, value] of Object.entries(fields)) {
      const field = this.form.elements.namedItem(name);
      if (field?.options && !Array.from(field.options).some((option) => option.value === value)) this.restored.set(name, value);
      else if (field) field.value = value;
    }
  }

  /** Sets the fields to those of the address, and shows their answer unless it is shown already. */
  restore(fields) {
    clearTimeout(this.typingTimer);
    if (this.form.elements.compare) this.form.elements.compare.value = "";
    this.fill(fields);
    this.offerExamples();
    if (this.isAnswered) return;
    if (this.automatic) {
      this.run("restore");
      return;
    }
    this.stop();
    this.showMessage("");
    this.clear();
  }

  /** Offers the ready models of the task in menus, if there are several, and the versions of a model that has several. */
  offerModels(models) {
    const ready = models.filter(({ task, state }) => task === this.task && state === "ready");
    const versions = Map.groupBy(ready, ({ name }) => name);
    const choices = new Map();
    for (const [name, several] of versions) {
      const title = versions.size > 1 ? this.titleOf(name) : "";
      choices.set(name, title || "as served");
      if (several.length > 1) for (const { version } of several) choices.set(`${name}/${version}`, `${title} v${version}`.trim());
    }
    this.defaultModel = ready.find((model) => model.default)?.name ?? null;
    const further = versions.size > 1 ? this.furtherChoices : [];
    this.offerChoices("model", new Map([...further, ...choices]), [...further.keys(), this.defaultModel], choices.size > 1);
    this.offerChoices("compare", new Map([["", "nothing"], ...choices]), [""], choices.size > 1);
    this.offerExamples();
  }

  /** Offers choices, values and titles, in a menu if the panel has it; `wanted` are the defaults. */
  offerChoices(name, choices, wanted, several) {
    const menu = this.form.elements.namedItem(name);
    if (!menu || [...choices].join() === Array.from(menu.options, ({ value, text }) => [value, text]).join()) return;
    const label = menu.closest("label");
    const chosen = label.hidden ? null : menu.value;
    const value = [this.restored.get(name), chosen, ...wanted, ...choices.keys()].find((choice) => choices.has(choice));
    menu.replaceChildren(...Array.from(choices, ([choice, title]) => make("option", { value: choice }, title)));
    menu.value = value ?? "";
    label.hidden = !several;
    this.restored.delete(name);
  }

  /** Offers the examples that suit the model. */
  offerExamples() {
    const { examples } = this;
    if (examples.map(String).join() === this.shownExamples.map(String).join()) return;
    this.shownExamples = examples;
    const buttons = examples.map(([title, fields]) => {
      const use = () => {
        this.fill(fields);
        this.submit();
      };
      return make("button", { type: "button", onclick: use }, title);
    });
    this.element.querySelector(".examples").replaceChildren(...buttons);
  }

  /** Shows the answer to the first example. */
  showExample(cause) {
    this.fill(this.examples[0][1]);
    this.run(cause);
  }

  /** Whether the form has one of some examples. */
  hasExample(examples) {
    return examples.some(([, fields]) => Object.entries(fields).every(([name, value]) => this.form.elements[name].value === String(value)));
  }

  /** Follows the menus: an example in another language than the model's is replaced. */
  changeModel() {
    const isExample = this.hasExample(this.shownExamples);
    this.offerExamples();
    if (isExample && !this.hasExample(this.examples)) this.fill(this.examples[0][1]);
    if (this.automatic) this.submit();
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

  /** Sends the form; aborts the request in progress. `cause`: "load", "restore", "submit" or "typing". With a file, sends that instead. */
  async run(cause, file = null) {
    this.stop();
    this.seen = true;
    const control = (this.control = new AbortController());
    this.answer.setAttribute("aria-busy", "true");
    const began = performance.now();
    this.table.replaceChildren();
    this.requested = file ? null : this.fieldsToSend;
    if (!file) this.onRequest(this.requested, cause);
    const onRetry = (error) => {
      this.clear();
      this.showMessage(`${error.message} The page keeps trying.`, "waiting");
    };
    try {
      await (file ? answerFile(this, file, { signal: control.signal, onRetry }) : this.work(this.requested, control.signal, onRetry));
      this.showMessage("");
    } catch (error) {
      if (!control.signal.aborted) this.fail(error);
    }
    if (this.control !== control) return;
    this.control = null;
    this.lastRunMs = performance.now() - began;
    this.answer.setAttribute("aria-busy", "false");
    this.answer.classList.add("answered");
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

  /** Sets the answer that the tools take along, and the body of its request. */
  setResult(result, body = null) {
    this.tools.set(result, body);
  }

  /** Replaces the answer by an error. */
  fail(error) {
    this.clear();
    if (error instanceof MissingInput || error instanceof Unreadable) this.showMessage(error.message, "hint");
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
}

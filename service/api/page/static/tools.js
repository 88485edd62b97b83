// What can be done with an answer: it is copied as a link, as JSON, or as a program that asks for it.

import { link } from "./address.js";
import { copyText } from "./clipboard.js";
import { make } from "./dom.js";
import { programOf } from "./programs.js";

export class Tools {
  /** Adds the tools to a panel's answer, before its cost; `panel` shows what has come of them. */
  constructor(panel) {
    this.panel = panel;
    this.result = null; // the answer
    this.body = null; // of the request that it answers
    const content = document.querySelector("#tools").content.cloneNode(true);
    [this.element] = content.children;
    panel.cost.before(content);
    this.buttons = this.element.querySelector(".choices");
    this.copyJsonButton = this.add("Copy as JSON", () => this.copy(JSON.stringify(this.result, null, 2), "Copied as JSON"));
    this.add("Copy link", () => this.copyLink()).disabled = false;
    this.language = this.element.querySelector("select");
    this.program = this.element.querySelector("code");
    this.language.addEventListener("change", () => this.showProgram());
    this.element.addEventListener("toggle", () => this.showProgram());
    this.element.querySelector(".copy-program").addEventListener("click", () => this.copy(this.program.textContent, "Program copied"));
  }

  /** Adds a button, which is disabled. */
  add(title, onclick) {
    const button = make("button", { type: "button", disabled: true, onclick }, title);
    this.buttons.append(button);
    return button;
  }

  /** Sets the answer, or none, and the body of its request. */
  set(result, body = null) {
    this.result = result;
    this.body = body;
    this.copyJsonButton.disabled = result === null;
    this.showProgram();
  }

  /** Shows a program that sends the request of the answer. */
  showProgram() {
    this.program.closest(".program").hidden = this.body === null;
    if (this.body && this.element.open) this.program.textContent = programOf(this.language.value, this.panel.task, this.body);
  }

  /** Copies a text, or a promise of one, and says so. */
  async copy(text, done) {
    try {
      await copyText(text);
      this.panel.summary.textContent = done;
    } catch (error) {
      this.panel.showError(error);
    }
  }

  copyLink() {
    const address = link();
    if (address) this.copy(address, "Link copied");
    else this.panel.summary.textContent = "The text is too long for a link.";
  }
}

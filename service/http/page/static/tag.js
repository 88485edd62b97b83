// The panel Tag: a text, its tokens and their parts of speech.

import { ask, askWith } from "./api.js";
import { showCost } from "./cost.js";
import { count, duration, make } from "./dom.js";
import { Runner } from "./runner.js";
import { Tokens } from "./tokens.js";
import { UPOS } from "./upos.js";

const CONSIDERED = 3; // tags that are shown for each token

export class Tag {
  constructor(panel, card, changed) {
    this.panel = panel;
    this.changed = changed;
    this.only = new Set();
    this.tokens = new Tokens(panel.querySelector(".tokens"), card);
    this.runner = new Runner(panel, (signal, waiting) => this.tag(signal, waiting));
    this.form = this.runner.form;
    this.form.elements.text.addEventListener("input", () => this.runner.later());
    this.copy = panel.querySelector(".copy");
    this.copy.addEventListener("click", () => this.copyAsConllu());
    this.legend = new Map(Object.entries(UPOS).map(([tag, name]) => [tag, this.entry(tag, name)]));
  }

  entry(tag, name) {
    const number = make("span", { class: "number" });
    const button = make(
      "button",
      { type: "button", "data-upos": tag, "aria-pressed": "false", disabled: true, onclick: () => this.toggle(tag) },
      make("span", { class: "tag" }, tag),
      make("span", { class: "name" }, name),
      number,
    );
    this.panel.querySelector(".legend ul").append(make("li", {}, button));
    return { button, number };
  }

  toggle(tag) {
    if (!this.only.delete(tag)) this.only.add(tag);
    this.legend.get(tag).button.setAttribute("aria-pressed", this.only.has(tag));
    this.tokens.only(this.only);
  }

  get body() {
    const { text, model } = this.form.elements;
    return { text: text.value, model: model.value || null };
  }

  async tag(signal, waiting) {
    const body = this.body;
    const began = performance.now();
    const response = await askWith("tag", { ...body, offsets: "utf16" }, { n_best: CONSIDERED }, { signal, waiting });
    const { results } = await response.json();
    const roundTrip = performance.now() - began;
    const { sentences } = results[0];
    this.shown = body;
    await this.tokens.show(sentences, signal);
    this.tokens.only(this.only);
    this.copy.disabled = !sentences.length;
    const tokens = sentences.flatMap((sentence) => sentence.tokens);
    this.count(tokens);
    this.summarize(`${count(sentences.length, "sentence")}, ${count(tokens.length, "token")}`);
    showCost(this.panel.querySelector(".cost"), response, roundTrip, [["per token", duration(roundTrip / (tokens.length || 1))]]);
    this.changed({ text: body.text });
  }

  count(tokens) {
    const counts = new Map();
    for (const { upos } of tokens) counts.set(upos, (counts.get(upos) ?? 0) + 1);
    for (const [tag, { button, number }] of this.legend) {
      number.textContent = counts.get(tag) ?? "";
      button.disabled = !counts.has(tag) && !this.only.has(tag);
    }
  }

  summarize(text) {
    this.panel.querySelector(".summary").textContent = text;
  }

  async copyAsConllu() {
    const signal = new AbortController().signal;
    const text = ask("tag", this.shown, { signal, accept: "text/x-conllu" }).then((response) => response.text());
    try {
      await copyText(text);
      this.summarize("Copied as CoNLL-U");
    } catch (error) {
      this.runner.fail(error);
    }
  }
}

/** Copies a text that is on its way. Pages that did not come over https or from localhost have no clipboard. */
async function copyText(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": text.then((it) => new Blob([it], { type: "text/plain" })) })]);
    return;
  }
  const field = make("textarea", { "aria-hidden": "true", class: "hidden" });
  field.value = await text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

// The panel Tag: the tokens of a text and their parts of speech.

import { request, requestWithOptional } from "./api.js";
import { saveFile } from "./clipboard.js";
import { showCost } from "./cost.js";
import { count, duration, make } from "./dom.js";
import { TagFeedback } from "./feedback.js";
import { answerOf, MissingInput, Panel } from "./panel.js";
import { sentenceSvg } from "./svg.js";
import { Tokens } from "./tokens.js";
import { UPOS } from "./upos.js";

const AUTO = "auto"; // the language that is identified
const LANGUAGES = new Intl.DisplayNames("en", { type: "language" });
const N_BEST = 3; // tags shown for each token

export class Tag extends Panel {
  task = "tag";
  furtherChoices = new Map([[AUTO, "by language"]]);
  highlighted = new Set(); // parts of speech selected in the legend; all if empty

  /** `card` is the element that shows the details of a token. */
  constructor(element, onRequest, card) {
    super(element, onRequest);
    this.tokens = new Tokens(element.querySelector(".tokens"), card, () => this.updateSvgButton());
    this.feedback = new TagFeedback(element.querySelector(".feedback"), this.tokens);
    this.form.elements.text.addEventListener("input", () => this.runAfterPause());
    this.copyConlluButton = element.querySelector(".copy-conllu");
    this.copyConlluButton.addEventListener("click", () => this.copyConllu());
    this.svgButton = element.querySelector(".save-svg");
    this.svgButton.addEventListener("click", () => this.saveSvg());
    this.legend = new Map(Object.entries(UPOS).map(([tag, name]) => [tag, this.addLegendEntry(tag, name)]));
  }

  addLegendEntry(tag, name) {
    const number = make("span", { class: "number" });
    const button = make(
      "button",
      { type: "button", "data-upos": tag, "aria-pressed": "false", disabled: true, onclick: () => this.toggle(tag) },
      make("span", { class: "tag" }, tag),
      make("span", { class: "name" }, name),
      number,
    );
    this.element.querySelector(".legend ul").append(make("li", {}, button));
    return { button, number };
  }

  /** Adds a part of speech to the highlighted ones, or removes it. */
  toggle(tag) {
    if (!this.highlighted.delete(tag)) this.highlighted.add(tag);
    this.legend.get(tag).button.setAttribute("aria-pressed", this.highlighted.has(tag));
    this.tokens.highlight(this.highlighted);
  }

  async work({ text }, signal, onRetry) {
    if (!text.trim()) throw new MissingInput("Enter a text to tag, or choose an example.");
    // Texts in languages without a tagger are tagged by the default one.
    const body = this.model === AUTO ? { text, language: AUTO, model: this.defaultModel } : { text, model: this.model };
    const began = performance.now();
    const response = await requestWithOptional("tag", body, { n_best: [N_BEST] }, { signal, onRetry });
    const result = await response.json();
    const roundTripMs = performance.now() - began;
    const [{ sentences, language }] = result.results;
    await this.tokens.show(sentences, signal);
    this.tokens.highlight(this.highlighted);
    this.conlluBody = body;
    this.setResult(result);
    this.feedback.begin(answerOf(result, response, text));
    const tokens = sentences.flatMap((sentence) => sentence.tokens);
    this.showCounts(tokens);
    const named = language && language !== "und" ? ` in ${LANGUAGES.of(language)}` : "";
    this.summary.textContent = `${count(sentences.length, "sentence")}${named}, ${count(tokens.length, "token")}`;
    showCost(this.cost, response, roundTripMs, { facts: [["per token", duration(roundTripMs / (tokens.length || 1))]] });
  }

  clear() {
    super.clear();
    this.feedback.begin(null);
    this.tokens.clear();
    this.showCounts([]);
  }

  setResult(result) {
    super.setResult(result);
    this.copyConlluButton.disabled = result === null;
    this.updateSvgButton();
  }

  /** Shows in the legend how many tokens have each part of speech. */
  showCounts(tokens) {
    const counts = new Map();
    for (const { upos } of tokens) counts.set(upos, (counts.get(upos) ?? 0) + 1);
    for (const [tag, { button, number }] of this.legend) {
      number.textContent = counts.get(tag) ?? "";
      button.disabled = !counts.has(tag) && !this.highlighted.has(tag);
    }
  }

  copyConllu() {
    const response = request("tag", this.conlluBody, { accept: "text/x-conllu" });
    this.copy(response.then((answer) => answer.text()), "Copied as CoNLL-U");
  }

  updateSvgButton() {
    this.svgButton.disabled = this.result === null || !this.tokens.selectedSentence;
    this.svgButton.textContent = `Save sentence ${this.tokens.selectedNumber} as SVG`;
  }

  saveSvg() {
    const number = this.tokens.selectedNumber;
    saveFile(`sentence-${number}.svg`, "image/svg+xml", sentenceSvg(this.tokens.selectedSentence));
    this.summary.textContent = `Sentence ${number} saved as SVG`;
  }
}

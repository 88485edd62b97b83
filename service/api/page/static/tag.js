// The panel Tag: the tokens of a text and their parts of speech.

import { read, request } from "./api.js";
import { saveFile } from "./clipboard.js";
import { showCost } from "./cost.js";
import { count, duration, make } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { TagFeedback } from "./feedback.js";
import { answerOf, MissingInput, Panel } from "./panel.js";
import { sentenceSvg } from "./svg.js";
import { Tokens } from "./tokens.js";
import { asText, UPOS } from "./upos.js";

const AUTO = "auto"; // the language that is identified
const LANGUAGES = new Intl.DisplayNames("en", { type: "language" });
const COLUMNS = ["text", "start", "end", "lemma", "upos", "xpos", "feats", "confidence"]; // of a token, in tables
const N_BEST = 3; // tags shown for each token

export class Tag extends Panel {
  task = "tag";
  furtherChoices = new Map([[AUTO, "automatic"]]);
  languages = new Map(); // of models
  highlighted = new Set(); // parts of speech selected in the legend; all if empty

  constructor(element, onRequest) {
    super(element, onRequest);
    this.svgButton = this.tools.add("", () => this.saveSvg());
    this.conlluButton = this.tools.add("Copy as CoNLL-U", () => this.copyConllu());
    this.lists = [...element.querySelectorAll(".tokens")].map((list) => new Tokens(list, () => this.updateSvgButton()));
    [this.tokens] = this.lists;
    this.feedback = new TagFeedback(element.querySelector(".feedback"), this.tokens);
    this.form.elements.text.addEventListener("input", () => this.runAfterPause());
    this.legend = new Map(Object.entries(UPOS).map(([tag, name]) => [tag, this.addLegendEntry(tag, name)]));
    this.updateSvgButton();
  }

  get examples() {
    const languages = new Set(this.languages.values()).intersection(new Set(Object.keys(EXAMPLES.tag)));
    const chosen = this.languages.get(this.model === AUTO ? this.defaultModel : this.model?.split("/")[0]);
    const own = EXAMPLES.tag[chosen] ?? EXAMPLES.tag.en;
    if (this.model !== AUTO) return own;
    languages.delete(chosen);
    return [...own, ...[...languages].map((language) => [LANGUAGES.of(language), EXAMPLES.tag[language][0][1]])];
  }

  fieldsOf(model) {
    // Texts in languages without a tagger are tagged by the default one.
    return model === AUTO ? { language: AUTO, model: this.defaultModel } : { model };
  }

  /** Returns the language of a tagger, with its name if another one has the same. */
  titleOf(name) {
    const language = this.languages.get(name);
    if (!language) return name;
    const same = [...this.languages.values()].filter((other) => other === language).length;
    return same > 1 ? `${LANGUAGES.of(language)} (${name})` : LANGUAGES.of(language);
  }

  async offerModels(models) {
    const ready = models.filter(({ state }) => state === "ready").map(({ name }) => name).join();
    if (ready !== this.ready) {
      this.ready = ready;
      const { languages = [] } = (await read("languages")) ?? {};
      this.languages = new Map(languages.map(({ language, model }) => [model, language]));
    }
    super.offerModels(models);
  }

  addLegendEntry(tag, name) {
    const number = make("span", { class: "number" });
    const button = make(
      "button",
      { type: "button", "data-upos": tag, "aria-pressed": "false", onclick: () => this.toggle(tag) },
      make("span", { class: "tag" }, tag),
      make("span", { class: "name" }, name),
      number,
    );
    const entry = make("li", { hidden: true }, button);
    this.element.querySelector(".legend ul").append(entry);
    return { entry, button, number };
  }

  /** Adds a part of speech to the highlighted ones, or removes it. */
  toggle(tag) {
    if (!this.highlighted.delete(tag)) this.highlighted.add(tag);
    this.highlight();
  }

  highlight() {
    for (const [tag, { button }] of this.legend) button.setAttribute("aria-pressed", this.highlighted.has(tag));
    for (const list of this.lists) list.highlight(this.highlighted);
  }

  async work({ text }, signal, onRetry) {
    if (!text.trim()) throw new MissingInput("Enter a text to tag, or choose an example.");
    const answers = await this.ask({ text }, { n_best: [N_BEST] }, { signal, onRetry });
    const [{ answer, response, body, roundTripMs }, other] = answers;
    for (const [i, list] of this.lists.entries()) await list.show(answers[i]?.answer.results[0].sentences ?? [], signal, other ? answers[i].title : "");
    const [{ sentences, language, model: used }] = answer.results;
    this.setResult(answer, body);
    this.feedback.begin(answerOf(answer, response, text));
    const [tokens, others] = this.lists.map((list) => [...list.details.values()].map(({ token }) => token));
    this.showCounts(tokens, others);
    const named = language && language !== "und" ? ` in ${LANGUAGES.of(language)}` : "";
    const instead = named && this.languages.get(used) !== language ? ` (tagged as ${this.titleOf(used)})` : "";
    const differences = other ? `, ${this.compare(answer.model === other.answer.model)} of them different` : "";
    this.summary.textContent = `${count(sentences.length, "sentence")}${named}${instead}, ${count(tokens.length, "token")}${differences}`;
    showCost(this.cost, response, roundTripMs, { facts: [["per token", duration(roundTripMs / (tokens.length || 1))]] });
  }

  rowsOf({ sentences }) {
    const rows = sentences.flatMap(({ tokens }, i) =>
      tokens.map((token, j) => [i + 1, j + 1, ...COLUMNS.map((name) => asText(token[name] ?? "_"))]),
    );
    return [["sentence", "token", ...COLUMNS.map((name) => (name === "text" ? "form" : name))], rows];
  }

  /** Marks what is different in the two answers, between versions of a model in any of their tags; returns how many tokens of the first are. */
  compare(isOneModel) {
    const columns = isOneModel ? ["upos", "xpos", "feats", "lemma"] : ["upos"];
    const [first, other] = this.lists;
    other.compare(first, columns);
    return first.compare(other, columns);
  }

  clear() {
    super.clear();
    this.feedback.begin(null);
    for (const list of this.lists) list.clear();
    this.showCounts([], []);
  }

  setResult(result, body) {
    super.setResult(result, body);
    this.conlluButton.disabled = result === null;
    this.updateSvgButton();
  }

  /** Shows in the legend how many tokens have each part of speech, of two answers in both; those that do not occur are not highlighted any more. */
  showCounts(tokens, others) {
    const answers = others.length > 0 ? [tokens, others] : [tokens];
    const occurring = new Set(answers.flat().map(({ upos }) => upos));
    for (const [tag, { entry, number }] of this.legend) {
      number.textContent = answers.map((all) => all.filter(({ upos }) => upos === tag).length).join(" / ");
      entry.hidden = !occurring.has(tag);
    }
    this.element.querySelector(".legend").hidden = occurring.size === 0;
    this.highlighted = this.highlighted.intersection(occurring);
    this.highlight();
  }

  copyConllu() {
    const { n_best: _, ...body } = this.tools.body; // CoNLL-U has the best alone
    const response = request("tag", body, { accept: "text/x-conllu" });
    this.tools.copy(response.then((answer) => answer.text()), "Copied as CoNLL-U");
  }

  updateSvgButton() {
    this.svgButton.disabled = this.tools.result === null || !this.tokens.selectedSentence;
    this.svgButton.textContent = `Save sentence ${this.tokens.selectedNumber} as SVG`;
  }

  saveSvg() {
    const number = this.tokens.selectedNumber;
    saveFile(`sentence-${number}.svg`, "image/svg+xml", sentenceSvg(this.tokens.selectedSentence));
    this.summary.textContent = `Sentence ${number} saved as SVG`;
  }
}

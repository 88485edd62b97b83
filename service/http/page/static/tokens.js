// Tagged tokens: drawn sentence by sentence, gone through with the arrow keys, explained in a card.

import { bar, inSlices, make, percent } from "./dom.js";
import { UPOS } from "./upos.js";

const SURE = 0.9; // below, the confidence stands beside the tag
const LEAVE_MS = 150; // so that the pointer can cross over to the card

export class Tokens {
  /** `list` is the listbox, `card` where a token is explained. */
  constructor(list, card) {
    this.list = list;
    this.card = card;
    this.clear();
    list.addEventListener("keydown", (event) => this.onKey(event));
    list.addEventListener("focusin", ({ target }) => this.select(target.closest("[role=option]")));
    list.addEventListener("focusout", () => this.hide());
    list.addEventListener("pointerover", ({ target }) => this.point(target.closest("[role=option]")));
    list.addEventListener("pointerleave", () => this.hideSoon());
    card.addEventListener("pointerenter", () => clearTimeout(this.leaving));
    card.addEventListener("pointerleave", () => this.hideSoon());
    document.addEventListener("keydown", ({ key }) => key === "Escape" && this.hide());
  }

  clear() {
    this.list.replaceChildren();
    this.hide();
    this.places = new Map(); // token's element -> { index, sentence, token, word }
    this.options = [];
    this.firsts = []; // of each sentence, the index of its first token
    this.current = null;
  }

  /** Draws the sentences of an answer to /tag, in slices. */
  async show(sentences, signal) {
    this.clear();
    await inSlices(sentences.entries(), ([number, sentence]) => this.draw(number, sentence), signal);
  }

  draw(number, sentence) {
    const box = make("div", { class: "sentence", role: "group", "aria-label": `Sentence ${number + 1}` });
    const words = new Map(sentence.multiword_tokens.map((word) => [word.first, word]));
    this.firsts.push(this.options.length);
    let [inside, word] = [box, null];
    sentence.tokens.forEach((token, i) => {
      if (words.has(i)) {
        word = words.get(i);
        inside = make("span", { class: "multiword", role: "group", "aria-label": `${word.text}, one word` });
        box.append(inside);
      }
      const option = this.option(token);
      this.places.set(option, { index: this.options.length, sentence: number, token, word });
      this.options.push(option);
      inside.append(option);
      if (word && i === word.last) [inside, word] = [box, null];
    });
    this.list.append(box);
    if (number === 0 && this.options.length) this.options[0].tabIndex = 0;
  }

  option(token) {
    const unsure = token.confidence < SURE;
    const known = UPOS[token.upos] ?? "";
    const said = [token.text, token.upos, known, percent(token.confidence)].filter(Boolean).join(", ");
    return make(
      "span",
      { role: "option", tabindex: "-1", "aria-selected": "false", "data-upos": token.upos, "aria-label": said },
      make("span", { class: "word" }, token.text),
      make("span", { class: "tag" }, token.upos, unsure ? make("i", {}, `${Math.round(token.confidence * 100)}%`) : null),
    );
  }

  /** Shows some parts of speech alone; all where the set is empty. */
  only(tags) {
    for (const option of this.options) option.classList.toggle("faded", tags.size > 0 && !tags.has(option.dataset.upos));
  }

  onKey(event) {
    const here = this.places.get(event.target);
    if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = {
      ArrowRight: here.index + 1,
      ArrowLeft: here.index - 1,
      ArrowDown: this.firsts[here.sentence + 1],
      ArrowUp: here.index > this.firsts[here.sentence] ? this.firsts[here.sentence] : this.firsts[here.sentence - 1],
      Home: 0,
      End: this.options.length - 1,
    }[event.key];
    if (!(event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End")) return;
    event.preventDefault();
    this.options[next]?.focus();
  }

  /** Makes a token the one that Tab comes to, and explains it. */
  select(option) {
    if (!option) return;
    if (this.current) {
      this.current.setAttribute("aria-selected", "false");
      this.current.removeAttribute("aria-describedby");
    }
    this.options[0].tabIndex = -1;
    if (this.current) this.current.tabIndex = -1;
    option.tabIndex = 0;
    option.setAttribute("aria-selected", "true");
    option.setAttribute("aria-describedby", this.card.id);
    this.current = option;
    this.explain(option);
  }

  point(option) {
    if (option) this.explain(option);
    else this.hideSoon();
  }

  explain(option) {
    clearTimeout(this.leaving);
    this.card.replaceChildren(...explanation(this.places.get(option)));
    this.card.hidden = false;
    this.shown?.classList.remove("shown");
    this.shown = option;
    option.classList.add("shown");
    const [at, margin] = [option.getBoundingClientRect(), 8];
    const [width, height] = [this.card.offsetWidth, this.card.offsetHeight];
    const left = Math.max(margin, Math.min(at.left + at.width / 2 - width / 2, document.documentElement.clientWidth - width - margin));
    const above = at.top - height - margin;
    const top = at.bottom + margin + height > window.innerHeight && above > 0 ? above : at.bottom + margin;
    this.card.style.left = `${left + window.scrollX}px`;
    this.card.style.top = `${top + window.scrollY}px`;
  }

  hideSoon() {
    clearTimeout(this.leaving);
    this.leaving = setTimeout(() => this.hide(), LEAVE_MS);
  }

  hide() {
    clearTimeout(this.leaving);
    this.card.hidden = true;
    this.shown?.classList.remove("shown");
    this.shown = null;
  }
}

function* explanation({ token, word }) {
  const lemma = token.lemma && token.lemma !== "_" ? make("span", { class: "lemma" }, `lemma ${token.lemma}`) : null;
  yield make("p", { class: "head" }, make("b", {}, token.text), word ? ` in ${word.text} ` : " ", lemma);
  const best = [{ tag: token.upos, probability: token.confidence }];
  yield ranking("Part of speech", token.n_best?.upos ?? best, (tag) => make("span", {}, make("b", {}, tag), ` ${UPOS[tag] ?? ""}`));
  if (token.n_best?.xpos) yield ranking("Treebank tag", token.n_best.xpos, (tag) => make("b", {}, tag));
  else yield fact("Treebank tag", token.xpos);
  const features = Object.entries(token.feats);
  if (features.length) yield fact("Features", ...features.map(([name, value]) => make("span", { class: "feature" }, `${name} `, make("b", {}, value))));
}

function ranking(title, ranked, name) {
  const rows = ranked.map(({ tag, probability }) => make("li", {}, name(tag), make("span", { class: "number" }, percent(probability)), bar(probability)));
  return make("div", { class: "ranking" }, make("p", { class: "title" }, title), make("ol", {}, ...rows));
}

function fact(title, ...values) {
  return make("div", { class: "fact" }, make("p", { class: "title" }, title), ...values);
}

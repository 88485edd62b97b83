// Tagged tokens: a listbox with a group for each sentence, and a card with the details of a token.

import { bar, figure, inTurns, make, percent } from "./dom.js";
import { asText, TITLES, UPOS } from "./upos.js";

const CONFIDENT = 0.9; // below this, the confidence is shown next to the tag
const HIDE_DELAY_MS = 150; // time for the pointer to move from the token to the card

export class Tokens {
  /** `list` is the listbox, which a title comes before; `onSelect()` is called when another token is selected. */
  constructor(list, onSelect) {
    this.list = list;
    this.title = list.previousElementSibling;
    this.card = make("div", { id: `${list.id}-card`, class: "details", role: "tooltip", hidden: true }); // with the details of a token
    document.querySelector("main").append(this.card);
    this.onSelect = onSelect;
    this.clear();
    this.busy = false; // whether a form about a token is open, which the card would cover
    this.onPress = () => {}; // called with a token's element that is clicked, or on Enter and the space bar
    list.addEventListener("keydown", (event) => this.onKey(event));
    list.addEventListener("click", ({ target }) => target.closest("[role=option]") && this.onPress(target.closest("[role=option]")));
    list.addEventListener("focusin", ({ target }) => this.select(target.closest("[role=option]")));
    list.addEventListener("focusout", () => this.hide());
    list.addEventListener("pointerover", ({ target }) => this.hover(target.closest("[role=option]")));
    list.addEventListener("pointerleave", () => this.hideAfterDelay());
    this.card.addEventListener("pointerenter", () => clearTimeout(this.hideTimer));
    this.card.addEventListener("pointerleave", () => this.hideAfterDelay());
    document.addEventListener("keydown", ({ key }) => key === "Escape" && this.hide());
  }

  /** Removes all tokens. */
  clear() {
    this.list.replaceChildren();
    this.hide();
    this.details = new Map(); // of each token's element: { index, sentence, position, token, word }
    this.options = []; // the tokens' elements
    this.firsts = []; // the index of each sentence's first token
    this.selected = null;
  }

  /** The number of the selected token's sentence, from 1; 1 if none is selected. */
  get selectedNumber() {
    return 1 + (this.details.get(this.selected)?.sentence ?? 0);
  }

  /** The element of the selected token's sentence, by default of the first; undefined if there is none. */
  get selectedSentence() {
    return this.list.children[this.selectedNumber - 1];
  }

  /** Shows the sentences of an answer to /tag, in turns; with a title where there are several answers. */
  async show(sentences, signal, title = "") {
    this.clear();
    this.title.textContent = title;
    this.title.hidden = !title;
    await inTurns(sentences.entries(), ([number, sentence]) => this.addSentence(number, sentence), signal);
  }

  addSentence(number, sentence) {
    const box = make("div", { class: "sentence", role: "group", "aria-label": `Sentence ${number + 1}`, dir: "auto" });
    const words = new Map(sentence.multiword_tokens.map((word) => [word.first, word]));
    this.firsts.push(this.options.length);
    let [inside, word] = [box, null];
    sentence.tokens.forEach((token, i) => {
      if (words.has(i)) {
        word = words.get(i);
        inside = make("span", { class: "multiword", role: "group", "aria-label": `${word.text}, one word` });
        box.append(inside);
      }
      const option = tokenElement(token);
      this.details.set(option, { index: this.options.length, sentence: number, position: i, token, word });
      this.options.push(option);
      inside.append(option);
      if (word && i === word.last) [inside, word] = [box, null];
    });
    this.list.append(box);
    if (number === 0 && this.options.length > 0) this.options[0].tabIndex = 0;
  }

  /** Fades the tokens of all other parts of speech; of none if the set is empty. */
  highlight(tags) {
    for (const option of this.options) option.classList.toggle("faded", tags.size > 0 && !tags.has(option.dataset.upos));
  }

  /** Marks the tokens that another list does not have, or has with other tags in some columns; returns their number. */
  compare(other, columns) {
    const theirs = new Map(Array.from(other.details.values(), ({ token }) => [keyOf(token), token]));
    const differing = this.options.filter((option) => {
      const details = this.details.get(option);
      const found = theirs.get(keyOf(details.token));
      const different = columns.filter((name) => found && asText(found[name]) !== asText(details.token[name]));
      details.other = found ? different.map((name) => `${TITLES[name]}: ${asText(found[name])}`) : ["split otherwise"];
      if (details.other.length === 0) return false;
      option.classList.add("differs");
      option.setAttribute("aria-label", `${option.getAttribute("aria-label")}, different`);
      return true;
    });
    return differing.length;
  }

  onKey(event) {
    const here = this.details.get(event.target);
    if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.onPress(event.target);
    }
    const step = getComputedStyle(event.target).direction === "rtl" ? -1 : 1;
    const next = {
      ArrowRight: here.index + step,
      ArrowLeft: here.index - step,
      ArrowDown: this.firsts[here.sentence + 1],
      ArrowUp: here.index > this.firsts[here.sentence] ? this.firsts[here.sentence] : this.firsts[here.sentence - 1],
      Home: 0,
      End: this.options.length - 1,
    }[event.key];
    if (!(event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End")) return;
    event.preventDefault();
    this.options[next]?.focus();
  }

  /** Shows a token with tags that are right instead of its own; with its own if there are none. */
  correct(option, right) {
    const here = this.details.get(option);
    const made = tokenElement({ ...here.token, ...right }, Object.keys(right).length > 0);
    option.replaceChildren(...made.childNodes);
    option.dataset.upos = made.dataset.upos;
    option.classList.toggle("corrected", Object.keys(right).length > 0);
    option.setAttribute("aria-label", made.getAttribute("aria-label"));
  }

  /** Selects a token, which becomes the one that Tab moves to, and shows its details. */
  select(option) {
    if (!option) return;
    if (this.selected) {
      this.selected.setAttribute("aria-selected", "false");
      this.selected.removeAttribute("aria-describedby");
      this.selected.tabIndex = -1;
    }
    this.options[0].tabIndex = -1;
    option.tabIndex = 0;
    option.setAttribute("aria-selected", "true");
    option.setAttribute("aria-describedby", this.card.id);
    this.selected = option;
    this.showDetails(option);
    this.onSelect();
  }

  hover(option) {
    if (option && !this.busy) this.showDetails(option);
    else this.hideAfterDelay();
  }

  /** Shows the details of a token in the card, below the token or above. */
  showDetails(option) {
    clearTimeout(this.hideTimer);
    this.card.replaceChildren(...cardContent(this.details.get(option)));
    this.card.hidden = false;
    this.shown?.classList.remove("shown");
    this.shown = option;
    option.classList.add("shown");
    const [box, margin] = [option.getBoundingClientRect(), 8];
    const [width, height] = [this.card.offsetWidth, this.card.offsetHeight];
    const left = Math.max(margin, Math.min(box.left + box.width / 2 - width / 2, document.documentElement.clientWidth - width - margin));
    const above = box.top - height - margin;
    const top = box.bottom + margin + height > window.innerHeight && above > 0 ? above : box.bottom + margin;
    this.card.style.left = `${left + window.scrollX}px`;
    this.card.style.top = `${top + window.scrollY}px`;
  }

  hideAfterDelay() {
    clearTimeout(this.hideTimer);
    this.hideTimer = setTimeout(() => this.hide(), HIDE_DELAY_MS);
  }

  hide() {
    clearTimeout(this.hideTimer);
    this.card.hidden = true;
    this.shown?.classList.remove("shown");
    this.shown = null;
  }
}

/** Returns what a token has in common with the same one of another answer. */
function keyOf({ start, end, text }) {
  return `${start} ${end} ${text}`;
}

function tokenElement(token, corrected = false) {
  const name = UPOS[token.upos] ?? "";
  const label = [token.text, token.upos, name, corrected ? "corrected" : token.source ? "from the dictionary" : percent(token.confidence)].filter(Boolean).join(", ");
  const confidence = corrected ? make("i", {}, "✎") : token.confidence < CONFIDENT ? make("i", {}, `${Math.round(token.confidence * 100)}%`) : null;
  return make(
    "span",
    { role: "option", tabindex: "-1", "aria-selected": "false", "data-upos": token.upos, "aria-label": label },
    make("span", { class: "word" }, token.text),
    make("span", { class: "tag", dir: "ltr" }, token.upos, confidence),
  );
}

/** Yields the parts of the card. Words are isolated, so that they do not reorder the text around them. */
function* cardContent({ token, word, other = [] }) {
  const lemma = token.lemma && token.lemma !== "_" ? make("span", { class: "lemma" }, "lemma ", make("bdi", {}, token.lemma)) : null;
  const within = word ? [" in ", make("bdi", {}, word.text), " "] : [" "];
  yield make("p", { class: "head" }, make("bdi", { class: "form" }, token.text), ...within, lemma);
  const [best, by] = [[{ tag: token.upos, probability: token.confidence }], token.source ? " by the model" : ""];
  if (token.source) yield fact("From the dictionary", ...[token.upos, token.xpos].map((tag) => make("span", { class: "feature" }, tag)));
  yield ranking(`Part of speech${by}`, token.n_best?.upos ?? best, (tag) => make("span", {}, make("b", {}, tag), ` ${UPOS[tag] ?? ""}`));
  if (token.n_best?.xpos) yield ranking(`Treebank tag${by}`, token.n_best.xpos, (tag) => make("b", {}, tag));
  else yield fact("Treebank tag", token.xpos);
  const features = Object.entries(token.feats);
  if (features.length > 0) yield fact("Features", ...features.map(([name, value]) => make("span", { class: "feature" }, `${name} `, make("b", {}, value))));
  if (other.length > 0) yield fact("The other answer", ...other.map((text) => make("span", { class: "feature" }, text)));
}

function ranking(title, ranked, name) {
  const rows = ranked.map(({ tag, probability }) => make("li", {}, name(tag), figure(percent(probability)), bar(probability)));
  return make("div", { class: "ranking" }, make("p", { class: "title" }, title), make("ol", {}, ...rows));
}

function fact(title, ...values) {
  return make("div", { class: "fact" }, make("p", { class: "title" }, title), ...values);
}

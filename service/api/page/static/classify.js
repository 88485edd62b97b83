// The panel Classify: the label of a text, and the contributions of its tokens.

import { showCost } from "./cost.js";
import { bar, count, figure, inTurns, make, percent, signed } from "./dom.js";
import { LabelFeedback } from "./feedback.js";
import { answerOf, MissingInput, Panel } from "./panel.js";

const SIGNS = { positive: "▲", neutral: "■", negative: "▼" };
const MOST_LISTED = 8; // tokens in the list of the largest contributions
const NOTABLE = 0.15; // of the largest contribution: tokens from here on show their contribution in the text

export class Classify extends Panel {
  task = "classify";

  constructor(element, onRequest) {
    super(element, onRequest);
    this.verdict = element.querySelector(".verdict");
    this.feedback = new LabelFeedback(element.querySelector(".feedback"));
    this.form.elements.text.addEventListener("input", () => this.runAfterPause());
  }

  async work({ text }, signal, onRetry) {
    if (!text.trim()) throw new MissingInput("Enter a text to classify, or choose an example.");
    const optional = { contributions: ["positive", true], sentences: [true] };
    const [first, other] = await this.ask({ text }, optional, { signal, onRetry });
    const { answer, response, body, roundTripMs } = first;
    const [result] = answer.results;
    const sides = [await side(text, first, other, signal), ...(other ? [await side(text, other, first, signal)] : [])];
    this.verdict.replaceChildren(...sides);
    this.setResult(answer, body);
    this.feedback.begin(answerOf(answer, response, text), Object.keys(result.scores), result.label);
    const agree = other?.answer.results[0].label === result.label;
    const difference = other ? `; ${other.title}: ${agree ? "the same" : `${other.answer.results[0].label}`}` : "";
    this.summary.textContent = `${result.label}, ${percent(result.scores[result.label])}${difference}`;
    showCost(this.cost, response, roundTripMs);
  }

  rowsOf({ label, scores, score }) {
    return [["label", ...Object.keys(scores), "score"], [[label, ...Object.values(scores), score]]];
  }

  clear() {
    super.clear();
    this.feedback.begin(null);
    this.verdict.replaceChildren();
  }
}

/** Returns what there is to see of an answer; what is different in another one is marked. */
async function side(text, { answer, title }, other, signal) {
  const [result] = answer.results;
  const theirs = other?.answer.results[0] ?? result;
  const parts = [scoreList(result, theirs.label)];
  if (result.score !== undefined) parts.push(strength(result));
  if (result.ignored) parts.push(make("p", { class: "hint" }, `The dictionary leaves out: ${result.ignored.map((word) => word.text).join(", ")}.`));
  if (result.contributions?.tokens.length > 0) {
    parts.push(await shadedText(text, result.contributions, signal), largestContributions(result.contributions));
  }
  if (result.sentences?.length > 1) parts.push(await sentenceList(result.sentences, theirs.sentences ?? [], signal));
  return make("div", { class: "side" }, other ? make("h3", {}, title) : null, ...parts);
}

function labelled(label) {
  return make("span", { class: "label", "data-label": label }, make("span", { "aria-hidden": "true" }, `${SIGNS[label] ?? "●"} `), label);
}

/** Marks a label that is not the one of another answer as different. */
function different(label, other) {
  return label === other ? null : make("span", { class: "differs" }, "different");
}

function scoreList({ label, scores }, other) {
  const rows = Object.entries(scores).map(([name, score]) =>
    make("li", { "data-label": name, class: name === label ? "best" : null }, labelled(name), bar(score), figure(percent(score)), name === label ? different(label, other) : null),
  );
  return make("ul", { class: "scores", "aria-label": "Score of each label" }, ...rows);
}

/** Returns the score of a text, and of several sentences their magnitude and whether they are mixed. */
function strength({ score, magnitude, mixed, sentences = [] }) {
  const rows = [["score, from −1 to +1", signed(score)]];
  if (sentences.length > 1) rows.push(["magnitude, of all sentences", magnitude.toFixed(2)], ["mixed", mixed ? "yes" : "no"]);
  return figures("strength", rows);
}

function figures(kind, rows) {
  return make("dl", { class: kind }, ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", { class: "number", dir: "ltr" }, value))));
}

function direction(contribution) {
  return contribution < 0 ? "against" : "for";
}

/** Returns the text with each token shaded by its contribution. Offsets count code points. */
async function shadedText(text, { label, score, baseline, tokens }, signal) {
  const points = Array.from(text);
  const most = Math.max(...tokens.map(({ contribution }) => Math.abs(contribution)), 1e-9);
  const body = make("p", { class: "shaded", dir: "auto" });
  let end = 0;
  const add = (token) => {
    const share = Math.abs(token.contribution) / most;
    const notable = share >= NOTABLE;
    const mark = make(notable ? "mark" : "span", { class: notable ? direction(token.contribution) : null }, points.slice(token.start, token.end).join(""));
    if (notable) {
      mark.style.setProperty("--share", share);
      mark.append(make("sup", { dir: "ltr" }, signed(token.contribution)));
    }
    body.append(points.slice(end, token.start).join(""), mark);
    end = token.end;
  };
  await inTurns(tokens, add, signal);
  body.append(points.slice(end).join(""));
  const [before, after] = [baseline, score].map((value) => Number(value.toFixed(2))); // rounded first, so that the figures shown add up
  const rows = [["without its words", before], ["its words add", after - before], ["together", after]];
  const sum = figures("sum", rows.map(([name, value]) => [name, signed(value)]));
  const hint = `In log-odds of ${label}: + and a solid line are for it, − and a dashed line are against it. They add up to one figure: at 0, ${label} is as likely as not, and each further 1 multiplies its odds by 2.7. The probability above is that of the whole text.`;
  return make("section", { "data-label": label }, make("h3", {}, `Contributions for and against ${label}`), body, sum, make("p", { class: "hint" }, hint));
}

function largestContributions({ label, tokens }) {
  const sorted = tokens.toSorted((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution)).slice(0, MOST_LISTED);
  const most = Math.abs(sorted[0].contribution) || 1;
  const rows = sorted.map(({ text, contribution }) => {
    const kind = direction(contribution);
    return make("li", { class: kind }, make("bdi", { class: "name" }, text), bar(Math.abs(contribution) / most, kind), figure(signed(contribution)));
  });
  return make("section", { "data-label": label }, make("h3", {}, "Largest contributions, in log-odds"), make("ol", { class: "largest" }, ...rows));
}

async function sentenceList(sentences, others, signal) {
  const labels = new Map(others.map(({ text, label }) => [text, label]));
  const list = make("ol", { class: "sentences" });
  const add = (sentence) => {
    const line = make("span", { class: "bars", "aria-hidden": "true" });
    for (const [label, score] of Object.entries(sentence.scores)) {
      const part = make("span", { "data-label": label });
      part.style.setProperty("flex-grow", score);
      line.append(part);
    }
    const verdict = make("span", { class: "verdict-line" }, labelled(sentence.label), figure(percent(sentence.scores[sentence.label])), line, different(sentence.label, labels.get(sentence.text) ?? sentence.label));
    list.append(make("li", {}, make("span", { class: "text", dir: "auto" }, sentence.text), verdict));
  };
  await inTurns(sentences, add, signal);
  return make("section", {}, make("h3", {}, count(sentences.length, "sentence")), list);
}

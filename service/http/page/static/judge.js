// The panel Judge: a text, its label, and what in it speaks for the label and against it.

import { askWith } from "./api.js";
import { showCost } from "./cost.js";
import { bar, count, inSlices, logOdds, make, percent } from "./dom.js";
import { Runner } from "./runner.js";

const SIGNS = { positive: "▲", neutral: "■", negative: "▼" };
const HEAVIEST = 8; // tokens that are listed
const NOTABLE = 0.15; // of the heaviest: tokens from here on carry their sign in the text

export class Judge {
  constructor(panel, changed) {
    this.panel = panel;
    this.changed = changed;
    this.runner = new Runner(panel, (signal, waiting) => this.judge(signal, waiting));
    this.form = this.runner.form;
    this.form.elements.text.addEventListener("input", () => this.runner.later());
  }

  async judge(signal, waiting) {
    const { text, model } = this.form.elements;
    const body = { text: text.value, model: model.value || null };
    const began = performance.now();
    const extras = { contributions: true, sentences: true };
    const response = await askWith("classify", body, extras, { signal, waiting });
    const [result] = (await response.json()).results;
    const roundTrip = performance.now() - began;
    const parts = [scores(result)];
    if (result.contributions?.tokens.length) {
      parts.push(await shaded(body.text, result.contributions, signal), heaviest(result.contributions));
    }
    if (result.sentences?.length > 1) parts.push(await sentences(result.sentences, signal));
    this.panel.querySelector(".verdict").replaceChildren(...parts);
    this.panel.querySelector(".summary").textContent = `${result.label}, ${percent(result.scores[result.label])}`;
    showCost(this.panel.querySelector(".cost"), response, roundTrip);
    this.changed({ text: body.text });
  }
}

function labelled(label) {
  return make("span", { class: "label", "data-label": label }, make("span", { "aria-hidden": "true" }, `${SIGNS[label] ?? "●"} `), label);
}

function scores({ label, scores: all }) {
  const rows = Object.entries(all).map(([name, score]) =>
    make("li", { "data-label": name, class: name === label ? "best" : null }, labelled(name), bar(score), make("span", { class: "number" }, percent(score))),
  );
  return make("ul", { class: "scores", "aria-label": "Score of each label" }, ...rows);
}

function kind(value) {
  return value < 0 ? "against" : "for";
}

/** Returns the text with each token shaded by its contribution. Offsets count code points. */
async function shaded(text, { label, score, baseline, tokens }, signal) {
  const points = Array.from(text);
  const most = Math.max(...tokens.map(({ contribution }) => Math.abs(contribution)), 1e-9);
  const body = make("p", { class: "shaded" });
  let end = 0;
  const add = (token) => {
    const share = Math.abs(token.contribution) / most;
    const notable = share >= NOTABLE;
    const mark = make(notable ? "mark" : "span", { class: notable ? kind(token.contribution) : null }, points.slice(token.start, token.end).join(""));
    if (notable) {
      mark.style.setProperty("--share", share);
      mark.append(make("sup", {}, logOdds(token.contribution)));
    }
    body.append(points.slice(end, token.start).join(""), mark);
    end = token.end;
  };
  await inSlices(tokens, add, signal);
  body.append(points.slice(end).join(""));
  const [before, after] = [baseline, score].map((value) => Number(value.toFixed(2))); // so that the figures shown add up
  const sum = make(
    "dl",
    { class: "sum" },
    ...[["without its words", before], ["its words add", after - before], ["together", after]].map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", { class: "number" }, logOdds(value))),
    ),
  );
  const hint = `In log-odds of ${label}: + and a solid line speak for it, − and a dashed line against it. All of them add up to one figure: at 0, ${label} is as likely as not, and each 1 more multiplies its odds by 2.7. The probability above is that of the whole text.`;
  return make("section", { "data-label": label }, make("h3", {}, "What speaks for it, and against it"), body, sum, make("p", { class: "hint" }, hint));
}

function heaviest({ label, tokens }) {
  const sorted = [...tokens].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution)).slice(0, HEAVIEST);
  const most = Math.abs(sorted[0].contribution) || 1;
  const rows = sorted.map(({ text, contribution }) =>
    make("li", { class: kind(contribution) }, make("span", { class: "name" }, text), bar(Math.abs(contribution) / most, kind(contribution)), make("span", { class: "number" }, logOdds(contribution))),
  );
  return make("section", { "data-label": label }, make("h3", {}, "What weighs most, in log-odds"), make("ol", { class: "heaviest" }, ...rows));
}

async function sentences(all, signal) {
  const list = make("ol", { class: "sentences" });
  const add = (sentence) => {
    const line = make("span", { class: "bars", "aria-hidden": "true" });
    for (const [label, score] of Object.entries(sentence.scores)) {
      const part = make("span", { "data-label": label });
      part.style.setProperty("flex-grow", score);
      line.append(part);
    }
    const verdict = make("span", { class: "verdict-line" }, labelled(sentence.label), make("span", { class: "number" }, percent(sentence.scores[sentence.label])), line);
    list.append(make("li", {}, make("span", { class: "text" }, sentence.text), verdict));
  };
  await inSlices(all, add, signal);
  return make("section", {}, make("h3", {}, count(all.length, "sentence")), list);
}

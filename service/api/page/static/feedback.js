// Corrections of an answer, where the service stores them: tags that are right, or a label.

import { read, request } from "./api.js";
import { count, make, percent } from "./dom.js";
import { asText, TITLES, UPOS } from "./upos.js";

const details = new Map(); // of model versions: a promise of the answer of /models/{name}/{version}

/** The part of a panel that corrects its answer. It is hidden unless the service stores corrections. */
class Feedback {
  constructor(element) {
    this.element = element;
    this.told = element.querySelector(".told");
    this.on = false;
    this.answer = null; // { model, version, requestId, text } of the answer that is shown
  }

  /** Sets whether the service stores corrections. */
  offer(on) {
    this.on = on;
    this.update();
  }

  /** Begins with an answer, or with none. */
  begin(answer) {
    this.answer = answer;
    this.tell("");
    this.update();
  }

  update() {
    this.element.hidden = !this.on || !this.answer;
  }

  tell(text, kind = "") {
    this.told.textContent = text;
    this.told.dataset.kind = kind;
  }

  /** Sends what is right of the answer; returns whether it is stored. */
  async send(right, done) {
    const { model, text, requestId } = this.answer;
    this.tell("");
    try {
      await request("feedback", { model, text, ...right, request_id: requestId }, {});
      this.tell(done, "done");
      return true;
    } catch (error) {
      this.tell(error.message, "error");
      return false;
    }
  }
}

/** Corrects a label: a button for each, of which the one of the answer marks it as right. */
export class LabelFeedback extends Feedback {
  /** Begins with the `labels` of an answer and the most probable one, `given`. */
  begin(answer, labels = [], given = "") {
    const buttons = labels.map((label) => {
      const text = label === given ? `Correct: ${label}` : `It is ${label}`;
      return make("button", { type: "button", "data-label": label, "aria-pressed": "false", onclick: () => this.choose(label) }, text);
    });
    this.element.querySelector(".labels").replaceChildren(...buttons);
    super.begin(answer);
  }

  async choose(label) {
    if (!(await this.send({ label }, `Stored: the text is ${label}.`))) return;
    for (const button of this.element.querySelectorAll(".labels button")) button.setAttribute("aria-pressed", button.dataset.label === label);
  }
}

/** Corrects the tags of tokens: a press on a token opens a form with its tags. */
export class TagFeedback extends Feedback {
  constructor(element, tokens) {
    super(element);
    this.tokens = tokens;
    this.form = element.querySelector("form");
    this.sendButton = element.querySelector(".send");
    tokens.onPress = (option) => this.on && this.edit(option);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.close();
    });
    this.form.addEventListener("change", () => this.change());
    this.form.addEventListener("keydown", ({ key }) => key === "Escape" && this.close());
    element.querySelector(".undo").addEventListener("click", () => this.undo());
    this.sendButton.addEventListener("click", () => this.sendTags());
  }

  begin(answer) {
    this.rights = new Map(); // of tokens' elements, the tags that are right
    this.option = null; // the element of the token that is edited
    this.show(false);
    super.begin(answer);
  }

  update() {
    super.update();
    this.tokens.list.classList.toggle("correctable", this.on);
    const changed = this.rights?.size ?? 0;
    this.sendButton.classList.toggle("pending", changed > 0);
    this.sendButton.textContent = changed > 0 ? `Send ${count(changed, "correction")}` : "Correct: all tags are right";
  }

  /** Shows or hides the form. */
  show(open) {
    this.form.hidden = !open;
    this.tokens.busy = open;
  }

  /** Opens the form of a token. */
  async edit(option) {
    const { token } = this.tokens.details.get(option);
    const { answer } = this;
    const key = `models/${encodeURIComponent(answer.model)}/${answer.version}`;
    if (!details.has(key)) details.set(key, read(key));
    const labels = (await details.get(key))?.manifest?.labels;
    if (!labels) {
      details.delete(key);
      this.tell("The model's labels cannot be read. Press the token again.", "error");
      return;
    }
    if (this.answer !== answer) return;
    this.option = option;
    const right = this.rights.get(option) ?? {};
    this.form.querySelector("legend bdi").textContent = token.text;
    const fields = Object.entries(TITLES).filter(([name]) => (name === "lemma" ? token.lemma : labels[name].length > 1)).map(([name, title]) => {
      const value = right[name] ?? asText(token[name]);
      const field = name === "lemma" ? make("input", { name, value, autocomplete: "off", spellcheck: "false", dir: "auto", required: true }) : menu(name, labels[name], token, value);
      return make("label", {}, title, field);
    });
    this.form.querySelector(".fields").replaceChildren(...fields);
    this.show(true);
    this.tokens.hide();
    this.tell("");
    fields[0].querySelector("select, input").focus();
  }

  /** Takes over what the form has. */
  change() {
    const { token } = this.tokens.details.get(this.option);
    const right = {};
    for (const { name, value } of this.form.querySelectorAll("select, input")) {
      if (value.trim() && value !== asText(token[name])) right[name] = value.trim();
    }
    if (Object.keys(right).length > 0) this.rights.set(this.option, right);
    else this.rights.delete(this.option);
    this.tokens.correct(this.option, right);
    this.tell("");
    this.update();
  }

  undo() {
    this.rights.delete(this.option);
    this.tokens.correct(this.option, {});
    this.update();
    this.close();
  }

  /** Closes the form, and returns to its token. */
  close() {
    this.show(false);
    this.option.focus();
    this.tokens.hide();
  }

  async sendTags() {
    const tags = [];
    for (const [option, right] of this.rights) {
      const { token, sentence, position } = this.tokens.details.get(option);
      tags.push({ sentence, token: position, text: token.text, ...right });
    }
    this.show(false);
    await this.send({ tags }, tags.length > 0 ? `Stored: ${count(tags.length, "token")} corrected.` : "Stored: all tags are right.");
  }
}

/** Makes the menu of a column: the parts of speech; of another, first what the model finds probable. Its best have their probability. */
function menu(name, labels, token, value) {
  const shares = new Map((token.n_best?.[name] ?? []).map(({ tag, probability }) => [tag, `, ${percent(probability)}`]));
  const options = (some) => some.map((label) => make("option", { value: label, selected: label === value }, titleOf(name, label), shares.get(label) ?? ""));
  if (name === "upos") return make("select", { name }, ...options(labels.toSorted()));
  const probable = [...new Set([value, ...shares.keys()])];
  const others = labels.filter((label) => !probable.includes(label)).toSorted();
  const groups = [["Probable", probable], ["Others", others]].map(([label, some]) => make("optgroup", { label }, ...options(some)));
  return make("select", { name }, ...groups);
}

function titleOf(column, label) {
  if (column === "upos" && UPOS[label]) return `${label}, ${UPOS[label]}`;
  return label === "_" ? "none" : label;
}

// The page: its tabs, its panels, and whether the service is there.

import { Continue } from "./continue.js";
import { make } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { Judge } from "./judge.js";
import { readState, writeState } from "./state.js";
import { Strip } from "./strip.js";
import { Tag } from "./tag.js";

const TASKS = { tag: "tag", judge: "classify", continue: "generate" };
const get = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll("[role=tab]")];
const changed = (tab) => (fields) => writeState(tab, fields);
const panels = {
  tag: new Tag(get("tag"), get("card"), changed("tag")),
  judge: new Judge(get("judge"), changed("judge")),
  continue: new Continue(get("continue"), changed("continue")),
};

/** Shows a panel. */
function open(name) {
  for (const tab of tabs) {
    const selected = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", selected);
    tab.tabIndex = selected ? 0 : -1;
    get(tab.getAttribute("aria-controls")).hidden = !selected;
  }
}

/** Puts values into the fields of a panel. */
function fill(name, fields) {
  const { elements } = panels[name].form;
  for (const [field, value] of Object.entries(fields)) if (elements[field]) elements[field].value = value;
}

for (const [i, tab] of tabs.entries()) {
  const name = tab.getAttribute("aria-controls");
  tab.addEventListener("click", () => {
    open(name);
    writeState(name, {});
  });
  tab.addEventListener("keydown", ({ key }) => {
    const next = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[key];
    if (next === undefined) return;
    const to = tabs.at(next % tabs.length);
    to.focus();
    to.click();
  });
  const examples = EXAMPLES[name].map(([title, fields]) => {
    const use = () => {
      fill(name, fields);
      panels[name].runner.run();
    };
    return make("button", { type: "button", onclick: use }, title);
  });
  get(name).querySelector(".examples").append(...examples);
  fill(name, EXAMPLES[name][0][1]);
}

/** Offers the models of a task where there is a choice. */
function offer(models) {
  for (const [name, task] of Object.entries(TASKS)) {
    const able = models.filter((model) => model.task === task && model.state === "ready");
    const select = panels[name].form.elements.model;
    const chosen = select.value;
    select.replaceChildren(...able.map((model) => make("option", { value: model.name, selected: model.default }, model.name)));
    if (able.some((model) => model.name === chosen)) select.value = chosen;
    select.closest("label").hidden = able.length < 2;
  }
}

function say(state, text) {
  const status = get("status");
  if (status.dataset.state === state) return false;
  status.dataset.state = state;
  status.textContent = text;
  return true;
}

/** Says whether the service is ready, and offers its models when it has become so. */
async function look() {
  try {
    const response = await fetch("readyz");
    const { status, models } = await response.json();
    if (say(status, response.ok ? "ready" : `the service is ${status}`) && response.ok) offer(models);
  } catch {
    say("gone", "the service cannot be reached");
  }
}

const state = readState();
const first = state.tab in panels ? state.tab : "tag";
fill(first, state.fields);
open(first);
await look();
new Strip(document.querySelector(".strip"), look);
if (first !== "continue") panels[first].runner.runQuietly();

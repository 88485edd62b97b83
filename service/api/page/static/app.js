// The page: its tabs, the address, and the state of the service.

import { readAddress, writeAddress } from "./address.js";
import { Classify } from "./classify.js";
import { read } from "./api.js";
import { Generate } from "./generate.js";
import { onKeyChange } from "./key.js";
import { Strip } from "./strip.js";
import { Tag } from "./tag.js";

const find = (selector) => document.querySelector(selector);
const status = find("#status");
const tabs = [...document.querySelectorAll("[role=tab]")];
let current = "tag"; // the name of the open panel
const recorder = (name) => (fields, cause) => {
  if (name === current) writeAddress(name, fields, cause);
};
const panels = {
  tag: new Tag(find("#tag"), recorder("tag")),
  classify: new Classify(find("#classify"), recorder("classify")),
  generate: new Generate(find("#generate"), recorder("generate")),
};

/** Shows a panel. */
function open(name) {
  current = name;
  for (const tab of tabs) {
    const selected = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", selected);
    tab.tabIndex = selected ? 0 : -1;
    find(`#${tab.getAttribute("aria-controls")}`).hidden = !selected;
  }
}

/** Shows a panel on the user's command, and adds it to the browser's history. */
function navigate(name) {
  writeAddress(current, panels[current].addressFields, "restore");
  open(name);
  writeAddress(name, panels[name].addressFields, "submit");
  if (!panels[name].seen) panels[name].showExample("restore");
}

/** Shows the panel and the fields of the address. */
function restore() {
  const { tab, fields } = readAddress();
  if (Object.hasOwn(panels, tab)) {
    open(tab);
    panels[tab].restore(fields);
  } else {
    writeAddress(current, panels[current].addressFields, "restore"); // for instance after the skip link, to #main
  }
}

for (const [i, tab] of tabs.entries()) {
  const name = tab.getAttribute("aria-controls");
  tab.addEventListener("click", () => navigate(name));
  tab.addEventListener("keydown", ({ key }) => {
    const next = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[key];
    if (next === undefined) return;
    const target = tabs.at(next % tabs.length);
    target.focus();
    target.click();
  });
  panels[name].fill(panels[name].examples[0][1]);
}

// Files that are dropped anywhere are answered by the open panel.
document.addEventListener("dragover", (event) => {
  if (event.dataTransfer.types.includes("Files")) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  const [file] = event.dataTransfer.files;
  if (!file) return;
  event.preventDefault();
  panels[current].run("submit", file);
});
document.addEventListener("change", ({ target }) => {
  if (target.files?.length) panels[current].run("submit", target.files[0]);
  if (target.files) target.value = ""; // so that the same file can be chosen again
});

/** Shows the state of the service. */
function showStatus(state, text) {
  if (status.dataset.state === state) return; // an unchanged status is not announced again
  status.dataset.state = state;
  status.textContent = text;
}

/** Asks whether the service is ready, and offers its models. */
async function updateStatus() {
  try {
    const response = await fetch("readyz");
    const readiness = await response.json();
    if (response.ok) await Promise.all(Object.values(panels).map((panel) => panel.offerModels(readiness.models)));
    showStatus(readiness.status, response.ok ? "ready" : `the service is ${readiness.status}`);
  } catch {
    showStatus("gone", "the service cannot be reached");
  }
}

/** Offers to correct answers, if the service stores corrections. */
async function offerFeedback() {
  const on = (await read("models"))?.feedback ?? false;
  for (const panel of [panels.tag, panels.classify]) panel.feedback.offer(on);
}

const address = readAddress();
const isFilled = Object.hasOwn(panels, address.tab) && Object.keys(address.fields).length > 0;
if (Object.hasOwn(panels, address.tab)) {
  open(address.tab);
  panels[address.tab].fill(address.fields);
}
window.addEventListener("popstate", restore); // Back, Forward, and an address that was typed or followed
onKeyChange(() => {
  panels.tag.ready = null; // languages are asked for again
  updateStatus();
  offerFeedback();
  if (!panels[current].message.hidden) panels[current].submit(); // its request was refused
});
await Promise.all([updateStatus(), offerFeedback()]);
new Strip(find(".strip details"), updateStatus).resume();
if (!isFilled) panels[current].showExample("load");
else if (panels[current].automatic) panels[current].run("load");
else writeAddress(current, panels[current].addressFields, "load");

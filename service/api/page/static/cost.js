// The time that an answer took, by stage: from its Server-Timing header and the browser's clock.

import { durations, make } from "./dom.js";

const STAGES = ["tokenize", "queue", "inference"];

/** Reads a Server-Timing header (W3C): { name: { dur, desc } }. */
export function readTimings(header) {
  const found = {};
  for (const [, name, parameters] of (header ?? "").matchAll(/([\w-]+)((?:\s*;\s*\w+=(?:"[^"]*"|[^;,]*))*)/gu)) {
    found[name] = {};
    for (const [, key, quoted, plain] of parameters.matchAll(/(\w+)=(?:"([^"]*)"|([^;,]*))/gu)) {
      found[name][key] = quoted ?? plain.trim();
    }
  }
  return found;
}

function row(name, text, stage = null) {
  return make("div", { "data-stage": stage }, make("dt", {}, name), make("dd", {}, text));
}

/** Shows the time of an answer by stage. The figures add up. `facts` are further rows, [name, text]. */
export function showCost(footer, response, roundTripMs, { title = "Time", facts = [] } = {}) {
  const timing = readTimings(response.headers.get("Server-Timing"));
  const ms = (name) => Number(timing[name]?.dur ?? 0);
  const stages = STAGES.filter((name) => timing[name]).map((name) => [name, ms(name)]);
  const known = stages.reduce((sum, [, value]) => sum + value, 0);
  stages.push(["other", Math.max(0, ms("total") - known)], ["network", Math.max(0, roundTripMs - Math.max(known, ms("total")))]);
  const [total, ...shown] = durations(stages.map(([, value]) => value));
  const line = make("div", { class: "stages", "aria-hidden": "true" });
  for (const [name, value] of stages) {
    const part = make("span", { "data-stage": name });
    part.style.setProperty("flex-grow", value);
    line.append(part);
  }
  const rows = stages.map(([name], i) => row(name, shown[i], name));
  const batch = /\d+/u.exec(timing.batch?.desc ?? "");
  if (batch) rows.push(row("batch size", batch[0]));
  rows.push(...facts.map(([name, text]) => row(name, text)));
  footer.replaceChildren(make("summary", {}, `${title}: ${total}`), line, make("dl", {}, ...rows));
  footer.hidden = false;
}

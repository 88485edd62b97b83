// What an answer cost: from its Server-Timing header, and from the clock here.

import { duration, make } from "./dom.js";

/** Reads a Server-Timing header (W3C): { name: { dur, desc } }. */
export function timings(header) {
  const found = {};
  for (const [, name, written] of (header ?? "").matchAll(/([\w-]+)((?:\s*;\s*\w+=(?:"[^"]*"|[^;,]*))*)/g)) {
    found[name] = {};
    for (const [, key, quoted, plain] of written.matchAll(/(\w+)=(?:"([^"]*)"|([^;,]*))/g)) {
      found[name][key] = quoted ?? plain.trim();
    }
  }
  return found;
}

/** Shows what an answer cost; `roundTrip` is in milliseconds, `more` further facts as [name, text], `what` it is of. */
export function showCost(footer, response, roundTrip, more = [], what = "What it cost") {
  const timing = timings(response.headers.get("Server-Timing"));
  const ms = (name) => Number(timing[name]?.dur ?? 0);
  const stages = ["tokenize", "queue", "inference"].filter((name) => timing[name]);
  const rest = Math.max(0, ms("total") - stages.reduce((all, name) => all + ms(name), 0));
  const parts = [...stages.map((name) => [name, ms(name)]), ["other", rest]];
  parts.push(["network", Math.max(0, roundTrip - ms("total"))]);
  const line = make("div", { class: "stages", "aria-hidden": "true" });
  for (const [name, value] of parts) {
    const part = make("span", { "data-stage": name });
    part.style.setProperty("flex-grow", value);
    line.append(part);
  }
  const entry = (name, text, stage = null) => make("div", { "data-stage": stage }, make("dt", {}, name), make("dd", {}, text));
  const facts = make("dl", {}, ...parts.map(([name, value]) => entry(name, duration(value), name)));
  const batch = /\d+/.exec(timing.batch?.desc ?? "");
  if (batch) facts.append(entry("rode in a batch of", batch[0]));
  facts.append(...more.map(([name, text]) => entry(name, text)));
  footer.replaceChildren(make("h3", {}, `${what}: ${duration(roundTrip)}`), line, facts);
  footer.hidden = false;
}

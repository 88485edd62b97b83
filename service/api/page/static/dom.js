// Makes elements, formats figures, and runs long work in turns.

const TURN_MS = 8; // half a frame

/** Makes an element. Null and false attributes are omitted; those whose names begin with "on" are event listeners. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Makes an SVG element. */
export function makeSvg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Makes the text of a figure, which is written from left to right also within text from right to left. */
export function figure(text) {
  return make("span", { class: "number", dir: "ltr" }, text);
}

/** Makes a bar that is filled to a share from 0 to 1. It is hidden from screen readers: the figure is beside it as text. */
export function bar(share, kind = "") {
  const element = make("span", { class: `bar ${kind}`, "aria-hidden": "true" });
  element.style.setProperty("--share", Math.max(0, Math.min(1, share)));
  return element;
}

/** Calls `work` for each item, in turns between which the browser handles events. Throws when the signal is aborted. */
export async function inTurns(items, work, signal) {
  let end = performance.now() + TURN_MS;
  for (const item of items) {
    if (performance.now() > end) {
      await pause();
      signal.throwIfAborted();
      end = performance.now() + TURN_MS;
    }
    work(item);
  }
}

function pause() {
  if (globalThis.scheduler?.yield) return scheduler.yield();
  return new Promise((resolve) => {
    setTimeout(resolve);
  });
}

/** Formats a share from 0 to 1 as percent. Only 1 is 100 %, and only 0 is 0.0 %. */
export function percent(share) {
  const value = share * 100;
  if (value >= 99.95 && value < 99.995) return `${value.toFixed(2)} %`;
  if (value >= 99.995) return share >= 1 ? "100 %" : "> 99.99 %";
  if (value > 0 && value < 0.05) return value < 0.005 ? "< 0.01 %" : `${value.toFixed(2)} %`;
  return `${value.toFixed(1)} %`;
}

/** Formats a figure with its sign and two digits. */
export function signed(value) {
  const digits = Math.abs(value).toFixed(2);
  if (digits === "0.00") return digits;
  return `${value < 0 ? "−" : "+"}${digits}`;
}

/** Formats a duration given in milliseconds. */
export function duration(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
}

/** Formats durations in milliseconds and their sum, which comes first, in one unit; the rounded figures add up. */
export function durations(values) {
  const seconds = values.reduce((sum, value) => sum + value, 0) >= 1000;
  const step = seconds ? 1 : 0.1; // the smallest difference shown, in milliseconds
  const write = (steps) => (seconds ? `${(steps / 1000).toFixed(3)} s` : `${(steps / 10).toFixed(1)} ms`);
  let exact = 0;
  let shown = 0; // steps
  const parts = values.map((value) => {
    exact += value;
    const steps = Math.round(exact / step) - shown;
    shown += steps;
    return write(steps);
  });
  return [write(shown), ...parts];
}

/** Formats a number and its noun: "1 token", "2 tokens". */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

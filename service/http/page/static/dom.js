// Elements, and work that leaves the page responsive.

const SLICE_MS = 8; // half a frame

/** Makes an element. A null or false attribute is left out; one that begins with "on" is a listener. */
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

/** Makes an element of SVG. */
export function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Makes a bar that is filled to a share from 0 to 1. Ornament: the figure stands beside it as text. */
export function bar(share, kind = "") {
  const element = make("span", { class: `bar ${kind}`, "aria-hidden": "true" });
  element.style.setProperty("--share", Math.max(0, Math.min(1, share)));
  return element;
}

/** Does work for each item, in slices between which the page answers; stops when the signal says so. */
export async function inSlices(items, work, signal) {
  let end = performance.now() + SLICE_MS;
  for (const item of items) {
    if (performance.now() > end) {
      await pause();
      signal.throwIfAborted();
      end = performance.now() + SLICE_MS;
    }
    work(item);
  }
}

function pause() {
  return globalThis.scheduler?.yield?.() ?? new Promise((resolve) => setTimeout(resolve));
}

/** Writes a share from 0 to 1 as percent, never rounded up to certainty. */
export function percent(share) {
  const value = share * 100;
  if (value >= 99.95 && value < 99.995) return `${value.toFixed(2)} %`;
  if (value >= 99.995) return share >= 1 ? "100 %" : "> 99.99 %";
  if (value > 0 && value < 0.05) return value < 0.005 ? "< 0.01 %" : `${value.toFixed(2)} %`;
  return `${value.toFixed(1)} %`;
}

/** Writes log-odds, or what is added to them, with its sign: they are no share, and have no percent. */
export function logOdds(value) {
  const figure = Math.abs(value).toFixed(2);
  if (figure === "0.00") return figure;
  return `${value < 0 ? "−" : "+"}${figure}`;
}

/** Writes a duration given in milliseconds. */
export function duration(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
}

/** Writes a number and its noun: "1 token", "2 tokens". */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

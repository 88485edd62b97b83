// The strip: rates of the service over the last ten seconds, from two scrapes of /metrics.

import { duration, make, makeSvg } from "./dom.js";
import { figures, parse } from "./metrics.js";

const INTERVAL_MS = 2000;
const WINDOW = 5; // intervals between the two scrapes that are compared: ten seconds
const POINTS = 40; // of a line

const FIGURES = [
  { name: "throughput", title: "Requests", format: (value) => `${value.toFixed(value < 10 ? 1 : 0)} /s` },
  { name: "p50", title: "Latency, p50", format: (value) => duration(value * 1000) },
  { name: "p99", title: "Latency, p99", format: (value) => duration(value * 1000) },
  { name: "padding", title: "Padding waste", format: (value) => `${(value * 100).toFixed(0)} %` },
];

export class Strip {
  /** `element` is what the figures are folded into; `onTick()` is called at intervals, whether it is open or not. */
  constructor(element, onTick) {
    this.element = element;
    this.onTick = onTick;
    this.scrapes = [];
    this.history = [];
    this.tiles = FIGURES.map(({ title }) => {
      const [value, line] = [make("dd", {}, "–"), makeSvg("polyline")];
      const box = { class: "spark", viewBox: `0 0 ${POINTS - 1} 10`, preserveAspectRatio: "none", "aria-hidden": "true" };
      element.querySelector("dl").append(make("div", {}, make("dt", {}, title), value, makeSvg("svg", box, line)));
      return { value, line };
    });
    element.addEventListener("toggle", () => this.resume());
    document.addEventListener("visibilitychange", () => this.resume());
  }

  /** Goes on, unless the page is hidden. */
  resume() {
    clearTimeout(this.timer);
    this.scrapes = this.element.open && !document.hidden ? this.scrapes : [];
    if (!document.hidden) this.tick();
  }

  async tick() {
    this.onTick();
    if (this.element.open) await this.scrape();
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => this.tick(), INTERVAL_MS);
  }

  async scrape() {
    try {
      const response = await fetch("metrics");
      if (!response.ok) throw new TypeError(`status ${response.status}`);
      this.add({ at: performance.now() / 1000, samples: parse(await response.text()) });
    } catch {
      this.scrapes = [];
    }
  }

  /** Adds a scrape, and updates the figures and lines. */
  add(scrape) {
    this.scrapes = [...this.scrapes, scrape].slice(-WINDOW - 1);
    if (this.scrapes.length < 2) return;
    this.history = [...this.history, figures(this.scrapes[0], scrape)].slice(-POINTS);
    FIGURES.forEach(({ name, format }, i) => {
      const values = this.history.map((point) => point[name]);
      const last = values.at(-1);
      this.tiles[i].value.textContent = last === null ? "–" : format(last);
      this.tiles[i].line.setAttribute("points", linePoints(values));
    });
  }
}

function linePoints(values) {
  const most = Math.max(...values, 1e-9);
  return values.map((value, i) => `${i + POINTS - values.length},${(9.5 - (9 * (value ?? 0)) / most).toFixed(2)}`).join(" ");
}

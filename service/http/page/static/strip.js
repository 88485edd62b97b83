// The strip: what the service does now, from two scrapes of /metrics.

import { draw, duration, make } from "./dom.js";
import { figures, parse } from "./metrics.js";

const EVERY_MS = 2000;
const WINDOW = 5; // scrapes between the two that are compared: ten seconds
const POINTS = 40;

const SHOWN = [
  { name: "throughput", title: "Requests", write: (value) => `${value.toFixed(value < 10 ? 1 : 0)} /s` },
  { name: "p50", title: "Latency, p50", write: (value) => duration(value * 1000) },
  { name: "p99", title: "Latency, p99", write: (value) => duration(value * 1000) },
  { name: "padding", title: "Padding waste", write: (value) => `${(value * 100).toFixed(0)} %` },
];

export class Strip {
  /** `looked` is called with each scrape. */
  constructor(element, looked) {
    this.looked = looked;
    this.scrapes = [];
    this.history = [];
    this.paused = false;
    this.tiles = SHOWN.map(({ title }) => {
      const [value, line] = [make("dd", {}, "–"), draw("polyline")];
      const box = { class: "spark", viewBox: `0 0 ${POINTS - 1} 10`, preserveAspectRatio: "none", "aria-hidden": "true" };
      element.querySelector("dl").append(make("div", {}, make("dt", {}, title), value, draw("svg", box, line)));
      return { value, line };
    });
    const button = element.querySelector(".pause");
    button.addEventListener("click", () => {
      this.paused = !this.paused;
      button.setAttribute("aria-pressed", this.paused);
      this.go();
    });
    document.addEventListener("visibilitychange", () => this.go());
    this.go();
  }

  /** Scrapes from now on, or stops while nobody looks. */
  go() {
    clearTimeout(this.timer);
    if (this.paused || document.hidden) this.scrapes = [];
    else this.scrape();
  }

  async scrape() {
    try {
      const response = await fetch("metrics");
      if (!response.ok) throw new TypeError(`status ${response.status}`);
      this.add({ at: performance.now() / 1000, samples: parse(await response.text()) });
    } catch {
      this.scrapes = [];
    }
    this.looked();
    if (this.paused || document.hidden) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.scrape(), EVERY_MS);
  }

  add(scrape) {
    this.scrapes = [...this.scrapes, scrape].slice(-WINDOW - 1);
    if (this.scrapes.length < 2) return;
    this.history = [...this.history, figures(this.scrapes[0], scrape)].slice(-POINTS);
    SHOWN.forEach(({ name, write }, i) => {
      const values = this.history.map((point) => point[name]);
      const last = values.at(-1);
      this.tiles[i].value.textContent = last === null ? "–" : write(last);
      this.tiles[i].line.setAttribute("points", line(values));
    });
  }
}

function line(values) {
  const most = Math.max(...values, 1e-9);
  return values.map((value, i) => `${i + POINTS - values.length},${(9.5 - (9 * (value ?? 0)) / most).toFixed(2)}`).join(" ");
}

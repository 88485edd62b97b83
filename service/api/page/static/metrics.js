// Parses Prometheus' text format, and computes rates between two scrapes.

const TASKS = new Set([
  "/tag",
  "/classify",
  "/generate",
  "/v1/completions",
  "/v2/models/{name}/infer",
  "/v2/models/{name}/versions/{version}/infer",
]);
const TIMED = new Set(["/tag", "/classify"]); // the duration of a generation depends on its max_tokens

/** Returns the samples by name: { labels, value } each. */
export function parse(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const found = /^(\w+)(?:\{(.*)\})? (\S+)/u.exec(line);
    if (line.startsWith("#") || !found) continue;
    const [, name, written, value] = found;
    const labels = {};
    for (const [, key, inside] of (written ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/gu)) labels[key] = inside;
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: Number(value) });
  }
  return samples;
}

/** Sums the samples of a metric whose labels match. */
function sum(samples, name, matches = () => true) {
  return (samples.get(name) ?? []).reduce((all, { labels, value }) => all + (matches(labels) ? value : 0), 0);
}

/** Returns the increase of a counter. A counter that has decreased was reset to 0 by a restart. */
export function increase(before, after, name, matches) {
  const [from, to] = [sum(before, name, matches), sum(after, name, matches)];
  return to >= from ? to - from : to;
}

function upper(edge) {
  return edge === "+Inf" ? Infinity : Number(edge);
}

/**
 * Returns the quantile `q`, 0 to 1, of a histogram's observations between two scrapes; null if there are none.
 *
 * Interpolates within a bucket, as Prometheus' histogram_quantile does.
 */
export function quantile(before, after, name, q, matches) {
  const edges = [...new Set((after.get(name) ?? []).map(({ labels }) => labels.le))];
  const counts = edges
    .toSorted((a, b) => upper(a) - upper(b))
    .map((le) => [upper(le), increase(before, after, name, (labels) => labels.le === le && matches(labels))]);
  const all = counts.at(-1)?.[1] ?? 0;
  if (!all) return null;
  let [low, below] = [0, 0];
  for (const [edge, within] of counts) {
    if (within >= q * all) {
      return edge === Infinity ? low : low + ((edge - low) * (q * all - below)) / (within - below || 1);
    }
    [low, below] = [edge, within];
  }
  return low;
}

function isTask({ route }) {
  return TASKS.has(route);
}

function isTimed({ route }) {
  return TIMED.has(route);
}

/** Returns the figures of the strip between two scrapes, each { at: seconds, samples }. */
export function figures(before, after) {
  const [from, to] = [before.samples, after.samples];
  const latency = (q) => quantile(from, to, "tagwerk_request_duration_seconds_bucket", q, isTimed);
  const cells = increase(from, to, "tagwerk_batch_cells_total");
  return {
    throughput: increase(from, to, "tagwerk_requests_total", isTask) / (after.at - before.at),
    p50: latency(0.5),
    p99: latency(0.99),
    padding: cells ? increase(from, to, "tagwerk_padding_cells_total") / cells : null,
  };
}

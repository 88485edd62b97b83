// Reads Prometheus' text format, and what grew between two scrapes.

const TASKS = new Set([
  ...["/tag", "/classify", "/generate", "/v1/completions"],
  ...["/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"],
]);
const AT_ONCE = new Set(["/tag", "/classify"]); // a text that is written takes as long as the client wishes

/** Returns the samples by name: { labels, value } each. */
export function parse(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const found = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line);
    if (line.startsWith("#") || !found) continue;
    const [, name, written, value] = found;
    const labels = {};
    for (const [, key, inside] of (written ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[key] = inside;
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: Number(value) });
  }
  return samples;
}

/** Sums the samples of a name whose labels fit. */
export function sum(samples, name, fits = () => true) {
  return (samples.get(name) ?? []).reduce((all, { labels, value }) => all + (fits(labels) ? value : 0), 0);
}

/** Returns by how much a counter grew. A process that was started again counts from 0. */
export function grew(before, after, name, fits) {
  const [from, to] = [sum(before, name, fits), sum(after, name, fits)];
  return to >= from ? to - from : to;
}

/** Returns the quantile `q`, 0 to 1, of what a histogram counted between two scrapes; null where that is nothing.
 *
 * Within a bucket it interpolates, as Prometheus' histogram_quantile does.
 */
export function quantile(before, after, name, q, fits) {
  const edges = [...new Set((after.get(name) ?? []).map(({ labels }) => labels.le))];
  const upper = (edge) => (edge === "+Inf" ? Infinity : Number(edge));
  const counts = edges
    .sort((a, b) => upper(a) - upper(b))
    .map((le) => [upper(le), grew(before, after, name, (labels) => labels.le === le && fits(labels))]);
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

/** Returns the figures of the time between two scrapes, { at: seconds, samples } each. */
export function figures(before, after) {
  const task = ({ route }) => TASKS.has(route);
  const atOnce = ({ route }) => AT_ONCE.has(route);
  const [from, to] = [before.samples, after.samples];
  const latency = (q) => quantile(from, to, "tagwerk_request_duration_seconds_bucket", q, atOnce);
  const cells = grew(from, to, "tagwerk_batch_cells_total");
  return {
    throughput: grew(from, to, "tagwerk_requests_total", task) / (after.at - before.at),
    p50: latency(0.5),
    p99: latency(0.99),
    padding: cells ? grew(from, to, "tagwerk_padding_cells_total") / cells : null,
  };
}

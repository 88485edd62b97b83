// Asks the service: retries what may pass, and turns what goes wrong into sentences.

const LONGEST_PAUSE_SECONDS = 5;
const PATIENCE = 20; // tries, after each of which the pause is a second longer
const refused = new Set(); // what the service, or its model, has said that it cannot do: "/tag n_best"

/** The service refused, or failed: what its problem document (RFC 9457) says. */
export class Problem extends Error {
  constructor(problem, retryAfter = null) {
    super(sentence(problem));
    this.problem = problem;
    this.retryAfter = retryAfter; // seconds; null where asking again would not help
    this.fields = (problem.errors ?? []).map((place) => place.pointer.split("/")[1] ?? "");
  }
}

/** No answer came. */
export class Unreachable extends Error {
  constructor(attempt = 0, message = "The service cannot be reached.") {
    super(message);
    this.retryAfter = Math.min(2 ** attempt, LONGEST_PAUSE_SECONDS);
  }
}

/** Says in a sentence what a problem document says. */
export function sentence(problem) {
  const places = (problem.errors ?? []).map(
    ({ pointer, problem: what, allowed }) => `${place(pointer)}: ${what}; allowed: ${allowed}`,
  );
  const detail = places.length ? places.join(". ") : (problem.detail ?? "");
  const parts = [problem.title ?? "The service failed", detail].filter(Boolean);
  return parts.map((part) => part[0].toUpperCase() + part.slice(1).replace(/\.$/, "") + ".").join(" ");
}

function place(pointer) {
  return pointer.split("/").slice(1).join(" ").replaceAll("_", " ") || "the request";
}

/** Sends a request once. Raises Problem, Unreachable, or AbortError. */
async function send(path, body, { signal, accept = "application/json" }, attempt) {
  const headers = { "Content-Type": "application/json", Accept: accept };
  let response;
  try {
    response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Unreachable(attempt);
  }
  if (response.ok) return response;
  const after = [429, 503].includes(response.status) ? Number(response.headers.get("Retry-After") ?? 1) : null;
  let problem = { title: `The service answered ${response.status}` };
  try {
    problem = await response.json();
  } catch {
    // something between here and the service answered: its status is all there is
  }
  throw new Problem(problem, after);
}

/** Sends a request, again and again as long as the service is away or busy; `waiting` hears of it. */
export async function ask(path, body, options) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await send(path, body, options, attempt);
    } catch (error) {
      if (error.retryAfter === null || error.retryAfter === undefined) throw error;
      options.waiting?.(error);
      const seconds = Math.max(error.retryAfter, attempt / PATIENCE);
      await sleep(Math.min(seconds, LONGEST_PAUSE_SECONDS) * 1000, options.signal);
    }
  }
}

/** Asks for extras, too; without those of which the service says that it cannot give them. */
export async function askWith(path, body, extras, options) {
  const wanted = Object.entries(extras).filter(([name]) => !refused.has(`${path} ${body.model} ${name}`));
  try {
    return await ask(path, { ...body, ...Object.fromEntries(wanted) }, options);
  } catch (error) {
    const cannot = wanted.map(([name]) => name).filter((name) => error.fields?.includes(name));
    if (!cannot.length) throw error;
    for (const name of cannot) refused.add(`${path} ${body.model} ${name}`);
    return askWith(path, body, extras, options);
  }
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** Yields the server-sent events of an answer, as { kind, data }. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = block.split("\n").map((line) => [line.split(":", 1)[0], line.replace(/^[^:]*: ?/, "")]);
      const data = fields.filter(([name]) => name === "data").map(([, text]) => text);
      if (data.length) {
        yield { kind: fields.find(([name]) => name === "event")?.[1] ?? "message", data: JSON.parse(data.join("\n")) };
      }
    }
  }
}

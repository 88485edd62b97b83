// Sends requests to the service: retries temporary errors, and describes errors in sentences.

import { authorization, showKeyForm } from "./key.js";

const MAX_DELAY_SECONDS = 5;
const ATTEMPTS_PER_SECOND = 20; // the delay before a retry is at least the number of attempts divided by this, in seconds
const unsupported = new Set(); // options that a route and model do not support, as "tag tagger-en n_best 3"

/** An error answer of the service, with its problem document (RFC 9457). */
export class Problem extends Error {
  /** `retryAfter` is in seconds; null if a retry would not help. */
  constructor(problem, retryAfter = null) {
    super(describeProblem(problem));
    this.problem = problem;
    this.retryAfter = retryAfter;
    this.fields = (problem.errors ?? []).map(({ pointer }) => pointer.split("/")[1] ?? "");
  }
}

/** No answer arrived. */
export class Unreachable extends Error {
  constructor(attempt = 0, message = "The service cannot be reached.") {
    super(message);
    this.retryAfter = Math.min(2 ** attempt, MAX_DELAY_SECONDS);
  }
}

/** Returns the sentences that describe a problem document. */
export function describeProblem({ title = "The service failed", detail, errors = [] }) {
  const places = errors.map(({ pointer, problem, allowed }) => `${describePointer(pointer)}: ${problem}; allowed: ${allowed}`);
  const parts = [title, places.length > 0 ? places.join(". ") : detail].filter(Boolean);
  return parts.map((part) => part[0].toUpperCase() + part.slice(1).replace(/\.$/u, "") + ".").join(" ");
}

function describePointer(pointer) {
  return pointer.split("/").slice(1).join(" ").replaceAll("_", " ") || "the request";
}

/** Sends a request once. Throws Problem, Unreachable, or the signal's AbortError. */
async function send(path, body, { signal, accept = "application/json" }, attempt) {
  const isText = typeof body === "string"; // lines of JSON
  const headers = { "Content-Type": isText ? "application/x-ndjson" : "application/json", Accept: accept, ...authorization() };
  let response;
  try {
    response = await fetch(path, { method: "POST", headers, body: isText ? body : JSON.stringify(body), signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Unreachable(attempt);
  }
  if (response.ok) return response;
  const retryAfter = [429, 503].includes(response.status) ? Number(response.headers.get("Retry-After") ?? 1) : null;
  const problem = await readProblem(response);
  if (response.status === 401 || response.status === 403) showKeyForm();
  if (response.status === 401) {
    problem.title = headers.Authorization ? "The service does not know this API key" : "This service requires an API key";
    problem.detail = "Enter one in the field API key";
  }
  throw new Problem(problem, retryAfter);
}

async function readProblem(response) {
  try {
    return await response.json();
  } catch {
    return { title: `The service answered ${response.status}` }; // not a problem document: a proxy answered
  }
}

/** Reads a resource; null if that fails. */
export async function read(path) {
  try {
    const response = await fetch(path, { headers: authorization() });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** Sends a request, and retries while the service is unreachable or overloaded; `onRetry(error)` is called before each delay. */
export async function request(path, body, options) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await send(path, body, options, attempt);
    } catch (error) {
      if (error.retryAfter === null || error.retryAfter === undefined) throw error;
      options.onRetry?.(error);
      const seconds = Math.max(error.retryAfter, attempt / ATTEMPTS_PER_SECOND);
      await sleep(Math.min(seconds, MAX_DELAY_SECONDS) * 1000, options.signal);
    }
  }
}

const keyOf = (path, body, name, value) => `${path} ${body.model} ${name} ${value}`;

/** Adds optional fields to a body, each with the first of its values that the service has not refused. */
export function supported(path, body, optional) {
  const known = Object.entries(optional).map(([name, values]) => [name, values.find((value) => !unsupported.has(keyOf(path, body, name, value)))]);
  return { ...body, ...Object.fromEntries(known.filter(([, value]) => value !== undefined)) };
}

/** Sends a request with optional fields; again without those that the service refuses, which later requests do not have either. */
export async function requestWithOptional(path, body, optional, options) {
  const sent = supported(path, body, optional);
  try {
    return await request(path, sent, options);
  } catch (error) {
    const refused = Object.keys(optional).filter((name) => name in sent && error.fields?.includes(name));
    if (refused.length === 0) throw error;
    for (const name of refused) unsupported.add(keyOf(path, body, name, sent[name]));
    return requestWithOptional(path, body, optional, options);
  }
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Yields the server-sent events of a response, as { kind, data }. */
export async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = block.split("\n").map((line) => [line.split(":", 1)[0], line.replace(/^[^:]*: ?/u, "")]);
      const data = fields.filter(([name]) => name === "data").map(([, text]) => text);
      if (data.length > 0) {
        yield { kind: fields.find(([name]) => name === "event")?.[1] ?? "message", data: JSON.parse(data.join("\n")) };
      }
    }
  }
}

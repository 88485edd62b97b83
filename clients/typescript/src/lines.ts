import { linesOf, type CallOptions, type Connection } from "./connection.js";
import { errorOf, NoCapacity, Refused, Unavailable, type ClientError, type Problem } from "./errors.js";

const LINES = 128; // of a request at most: its answer fits what the service keeps for a client that has not read yet
const REQUESTS = 4; // at the same time
const GATHER_MS = 20; // a text waits so long at most for others of its request

/** Texts of any number, for instance the lines of a file. */
export type Texts = Iterable<string> | AsyncIterable<string>;

interface Line<T> {
  id?: number;
  results?: T[];
  error?: Problem;
}

/**
 * Sends a body a line, in requests of up to LINES lines; yields the first result of each line in order, or its refusal.
 *
 * `fetch` sends the whole body first in browsers, hence several requests rather than one that never ends. The source is read
 * no faster than results are taken. Lines that a broken connection leaves without an answer, or that the service has no capacity
 * for, are sent again within the timeout of their request.
 */
export async function* sendLines<T>(
  connection: Connection,
  path: string,
  options: object,
  texts: Texts,
  call: CallOptions,
): AsyncGenerator<T | Refused, void, undefined> {
  const stop = new AbortController();
  const signal = call.signal ? AbortSignal.any([call.signal, stop.signal]) : stop.signal;
  const groups = grouped(texts);
  const running: Promise<(T | Refused)[]>[] = [];
  try {
    let next = caught(unlessAborted(groups.next(), signal));
    for (;;) {
      const [first] = running;
      const full = running.length >= REQUESTS;
      const which = first && (full ? "results" : await Promise.race([first.then(() => "results"), next.then(() => "texts")]));
      if (which === "results") {
        yield* await first!;
        running.shift();
        continue;
      }
      const { done, value } = await next;
      if (done) break;
      running.push(caught(sendGroup<T>(connection, path, options, value, { ...call, signal })));
      next = caught(unlessAborted(groups.next(), signal));
    }
    for (const results of running) yield* await results;
  } finally {
    stop.abort();
    caught(groups.return());
  }
}

/** Sends texts as the lines of a request, and those without an answer again, until all have one. */
async function sendGroup<T>(connection: Connection, path: string, options: object, texts: string[], call: CallOptions): Promise<(T | Refused)[]> {
  const waiting = new Map(texts.map((text, id) => [id, JSON.stringify({ id, ...options, text }) + "\n"]));
  const results = new Array<T | Refused>(texts.length);
  const contentType = "application/x-ndjson";
  const request = () => ({ path, contentType, body: [...waiting.values()].join("") });
  await connection.request(request, call, async (response) => {
    const order = [...waiting.keys()]; // of the answers
    let failed: ClientError | undefined;
    for await (const line of linesOf(response)) {
      const answer: Line<T> = JSON.parse(line);
      const next = order.shift();
      const id = answer.id ?? next; // an error has none where the line cannot be parsed, as with half of a surrogate pair
      const error = answer.error && errorOf(answer.error);
      if (id === undefined || (error && !(error instanceof Refused))) {
        failed = error instanceof NoCapacity || !failed ? error : failed;
      } else {
        results[id] = error instanceof Refused ? error : answer.results![0]!;
        waiting.delete(id);
      }
    }
    if (failed) throw failed;
    if (waiting.size) throw new Unavailable(`the stream ended before the answers to ${waiting.size} lines`);
  });
  return results;
}

/** Yields texts in groups: of what comes within GATHER_MS, LINES at most. An error of the source follows the texts before it. */
async function* grouped(texts: Texts): AsyncGenerator<string[], void, undefined> {
  const source = asynchronous(texts);
  let group: string[] = [];
  let over: Promise<undefined> | undefined; // from a group's first text on, which may take any time
  let next = caught(source.next());
  try {
    for (;;) {
      const came = await (over ? Promise.race([next, over]) : next);
      if (came?.done) break;
      if (came) {
        group.push(came.value);
        next = caught(source.next());
        over ??= new Promise((resolve) => setTimeout(resolve, GATHER_MS, undefined));
      }
      if (!came || group.length === LINES) {
        yield group;
        group = [];
        over = undefined;
      }
    }
  } catch (error) {
    if (group.length) yield group;
    throw error;
  } finally {
    caught(source.return());
  }
  if (group.length) yield group;
}

async function* asynchronous(texts: Texts): AsyncGenerator<string, void, undefined> {
  yield* texts;
}

/** Settles as the promise does, or is rejected with the reason of the signal if that is aborted before. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    if (signal.aborted) stop();
  });
}

/** Returns a promise whose rejection is no unhandled one, though it may be awaited later or never. */
function caught<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

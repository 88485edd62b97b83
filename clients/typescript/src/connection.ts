import { ClientError, DeadlineExceeded, errorOf, NoCapacity, Refused, Unavailable, type Problem } from "./errors.js";
import { backoff, Budget, jittered, sleep, Window } from "./retries.js";

/** How the service is reached. */
export interface ClientOptions {
  /** Sent with each request, where the service requires one. */
  apiKey?: string;
  /** Of each request, with its retries and its stream; by default 30 000. */
  timeoutMs?: number;
  /** At most so many requests at the same time; further ones wait. By default 64. */
  connections?: number;
  /** Instead of the global `fetch`. */
  fetch?: typeof fetch;
}

/** How one call ends before its time. */
export interface CallOptions {
  /** Ends the call, with the requests that are under way; it throws the reason of the signal. */
  signal?: AbortSignal | undefined;
  /** Instead of that of the client. */
  timeoutMs?: number | undefined;
}

/** An attempt's request. */
interface Sent {
  path: string;
  body?: string;
  contentType?: string;
}

/** Sends requests: again where that helps, never past the deadline. */
export class Connection {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #timeoutMs: number;
  readonly #fetch: typeof fetch;
  readonly #budget = new Budget();
  readonly #window: Window;

  constructor(url: string, { apiKey, timeoutMs = 30_000, connections = 64, fetch: own }: ClientOptions) {
    if (!/^https?:\/\//.test(url)) throw new TypeError(`${url} is not the address of a service; right: http://127.0.0.1:8000`);
    this.#url = url.replace(/\/+$/, "");
    this.#headers = apiKey === undefined ? {} : { Authorization: `Bearer ${apiKey}` };
    this.#timeoutMs = checked(timeoutMs);
    this.#fetch = own ?? ((input, init) => fetch(input, init));
    this.#window = new Window(Math.max(1, Math.floor(connections)));
  }

  /** Sends a request; returns what `read` makes of the response, which is read within the attempt: if that breaks, it is sent again. */
  async request<T>(request: () => Sent, call: CallOptions, read: (response: Response) => Promise<T>): Promise<T> {
    const timeoutMs = checked(call.timeoutMs ?? this.#timeoutMs);
    const deadline = performance.now() + timeoutMs;
    const timeout = AbortSignal.timeout(Math.ceil(timeoutMs));
    const signal = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout;
    let last: ClientError | undefined;
    this.#budget.deposit();
    for (let number = 0; ; number += 1) {
      let wait: number;
      try {
        await this.#window.enter(signal);
        try {
          const result = await read(await this.#attempt(request(), deadline - performance.now(), signal));
          this.#window.grow();
          return result;
        } finally {
          this.#window.leave();
        }
      } catch (error) {
        call.signal?.throwIfAborted();
        if (timeout.aborted) throw new DeadlineExceeded(`no answer within ${timeoutMs} ms${last ? `; the last attempt: ${last.message}` : ""}`, { cause: last });
        if (error instanceof NoCapacity) {
          this.#window.shrink();
          wait = jittered(error.retryMs);
          last = error;
        } else if (error instanceof Refused || error instanceof DeadlineExceeded) {
          throw error;
        } else {
          last = error instanceof ClientError ? error : new Unavailable(`${this.#url} gives no answer: ${error}`, undefined, { cause: error });
          wait = backoff(number);
          if (!this.#budget.withdraw()) throw last;
        }
      }
      if (performance.now() + wait >= deadline) throw last;
      await sleep(wait, call.signal ?? timeout);
    }
  }

  async #attempt({ path, body, contentType = "application/json" }: Sent, ms: number, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { ...this.#headers, "X-Request-Timeout-Ms": String(Math.max(1, Math.ceil(ms))) };
    if (body !== undefined) headers["Content-Type"] = contentType;
    const init = body === undefined ? { headers, signal } : { method: "POST", headers, signal, body };
    const response = await this.#fetch(this.#url + path, init);
    if (!response.ok) throw errorOf(await problemOf(response), response.headers.get("Retry-After"));
    return response;
  }
}

/** Returns the problem document of an answer, or one for an answer of a proxy. */
async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  const unknown = { type: "about:blank", title: "not an answer of tagwerk", detail: text.slice(0, 200), errors: [] };
  try {
    return { ...unknown, ...JSON.parse(text), status: response.status };
  } catch {
    return { ...unknown, status: response.status };
  }
}

/** Yields the lines of a response as they come; closes its connection if it is not read to the end. */
export async function* linesOf(response: Response): AsyncGenerator<string, void, undefined> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

function checked(timeoutMs: number): number {
  if (!(timeoutMs > 0 && timeoutMs < 2 ** 31)) throw new RangeError(`timeoutMs is ${timeoutMs}; allowed: above 0, below 2 ** 31`);
  return timeoutMs;
}

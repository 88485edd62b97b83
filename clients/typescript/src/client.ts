import { Connection, linesOf, type CallOptions, type ClientOptions } from "./connection.js";
import { ClientError, DeadlineExceeded, errorOf, Refused, Unavailable, type Problem } from "./errors.js";
import { sendLines, type Texts } from "./lines.js";
import type { components } from "./schema.js";

type Schemas = components["schemas"];
export type Tagged = Schemas["Tagged"];
export type Classified = Schemas["Classified"];
export type Generated = Schemas["Generated"];
export type Feedback = Schemas["FeedbackAnswer"];
export type Model = Schemas["ModelSummary"];
/** The fields of a request to /tag but its texts. Offsets are those of JavaScript's strings unless `offsets` says otherwise. */
export type TagOptions = Omit<Schemas["TagRequest"], "text" | "tokens" | "format">;
/** The fields of a request to /classify but its texts; offsets as in TagOptions. */
export type ClassifyOptions = Omit<Schemas["ClassifyRequest"], "text">;
/** The fields of a request to /generate but its prompts. */
export type GenerateOptions = Omit<Schemas["GenerateRequest"], "prompt" | "stream">;
/** The fields of a request to /feedback but its text. */
export type FeedbackOptions = Omit<Schemas["FeedbackRequest"], "text" | "tokens">;
/** A call of a stream of lines. */
export interface LinesOptions extends CallOptions {
  /** Yields the Refused of a text in the place of its result, rather than throwing it. */
  returnErrors?: boolean;
}
/** A piece of a text that is being generated; `index` is that of the text, from 0. */
export interface Piece {
  index: number;
  text: string;
}

const REQUESTS_OF_A_LIST = 4; // at the same time
const BYTES_OF_A_CHARACTER = 6; // in JSON, at most: \u0000
const SPARE_BYTES = 4096; // of a body, for what is not text
const UTF16 = { offsets: "utf16" } as const;

/**
 * Calls a tagwerk service.
 *
 * A request that the service has no capacity for, or that a connection has lost, is sent again until its timeout, with the
 * remaining time in a header. Methods throw Refused, Unavailable and DeadlineExceeded, which are ClientErrors, and the reason of
 * a signal that is aborted. Results are in the order of the texts.
 */
export class Client {
  readonly #connection: Connection;
  #limits: Schemas["Limits"] | undefined;

  constructor(url = "http://127.0.0.1:8000", options: ClientOptions = {}) {
    this.#connection = new Connection(url, options);
  }

  /** Splits texts into sentences and tokens, and tags these. */
  tag(texts: string | readonly string[], options: TagOptions = {}, call: CallOptions = {}): Promise<Tagged[]> {
    return this.#list("/tag", "text", asList(texts), (text) => text.length, { ...UTF16, ...options }, call);
  }

  /** Tags sentences given as at least one token each. Offsets are in the tokens joined by spaces. */
  tagTokens(sentences: readonly (readonly string[])[], options: TagOptions = {}, call: CallOptions = {}): Promise<Tagged[]> {
    const characters = (tokens: readonly string[]) => tokens.reduce((sum, token) => sum + token.length + 1, 0);
    return this.#list("/tag", "tokens", sentences, characters, { ...UTF16, ...options }, call);
  }

  /** Classifies texts. */
  classify(texts: string | readonly string[], options: ClassifyOptions = {}, call: CallOptions = {}): Promise<Classified[]> {
    return this.#list("/classify", "text", asList(texts), (text) => text.length, { ...UTF16, ...options }, call);
  }

  /** Continues prompts; returns the texts, prompt by prompt. */
  generate(prompts: string | readonly string[], options: GenerateOptions = {}, call: CallOptions = {}): Promise<Generated[]> {
    return this.#list("/generate", "prompt", asList(prompts), (text) => text.length, options, call);
  }

  /** Continues a prompt; yields the pieces of its texts as they are written. Throws Unavailable if the stream breaks. */
  async *generateStream(prompt: string, options: GenerateOptions = {}, call: CallOptions = {}): AsyncGenerator<Piece, void, undefined> {
    const request = () => ({ path: "/generate", body: JSON.stringify({ ...options, prompt, stream: true }) });
    const response = await this.#connection.request(request, call, async (response) => response);
    let event = "";
    try {
      for await (const line of linesOf(response)) {
        if (line === "") event = "";
        else if (line.startsWith("event: ")) event = line.slice(7);
        else if (line.startsWith("data: ") && event !== "finish") {
          const data: Piece & Problem = JSON.parse(line.slice(6));
          if (event === "error") throw errorOf(data);
          yield { index: data.index, text: data.text };
        }
      }
    } catch (error) {
      call.signal?.throwIfAborted();
      if (error instanceof ClientError) throw error;
      if (error instanceof DOMException && error.name === "TimeoutError") throw new DeadlineExceeded("the stream has taken its timeout");
      throw new Unavailable(`the stream broke: ${error}`, undefined, { cause: error });
    }
  }

  /** Tags texts of a stream of any length; yields their results while it reads on, no faster than they are taken. */
  tagLines(texts: Texts, options?: TagOptions, call?: LinesOptions & { returnErrors?: false }): AsyncGenerator<Tagged, void, undefined>;
  tagLines(texts: Texts, options: TagOptions, call: LinesOptions): AsyncGenerator<Tagged | Refused, void, undefined>;
  tagLines(texts: Texts, options: TagOptions = {}, call: LinesOptions = {}): AsyncGenerator<Tagged | Refused, void, undefined> {
    return this.#lines("/tag", texts, options, call);
  }

  /** Classifies texts of a stream of any length, as `tagLines` tags them. */
  classifyLines(texts: Texts, options?: ClassifyOptions, call?: LinesOptions & { returnErrors?: false }): AsyncGenerator<Classified, void, undefined>;
  classifyLines(texts: Texts, options: ClassifyOptions, call: LinesOptions): AsyncGenerator<Classified | Refused, void, undefined>;
  classifyLines(texts: Texts, options: ClassifyOptions = {}, call: LinesOptions = {}): AsyncGenerator<Classified | Refused, void, undefined> {
    return this.#lines("/classify", texts, options, call);
  }

  /** Corrects the tags or the label that a model gives a text, or the tokens of a sentence, or marks them right. */
  feedback(text: string | readonly string[], options: FeedbackOptions = {}, call: CallOptions = {}): Promise<Feedback> {
    return this.#json("/feedback", call, { ...options, [typeof text === "string" ? "text" : "tokens"]: text });
  }

  /** Returns every model version that the service knows, and its state. */
  async models(call: CallOptions = {}): Promise<Model[]> {
    return (await this.#json<Schemas["ModelList"]>("/models", call)).models;
  }

  #json<T>(path: string, call: CallOptions, body?: object): Promise<T> {
    const request = body === undefined ? { path } : { path, body: JSON.stringify(body) };
    return this.#connection.request(() => request, call, (response) => response.json());
  }

  /** Sends items in as many requests as the limits of the service need. */
  async #list<I, T>(path: string, field: string, items: readonly I[], size: (item: I) => number, options: object, call: CallOptions): Promise<T[]> {
    const groups = items.length === 1 ? [items] : [...cut(items, size, await this.#knownLimits(call))];
    const stop = new AbortController(); // the other requests, when one has failed
    const signal = call.signal ? AbortSignal.any([call.signal, stop.signal]) : stop.signal;
    const answers = new Array<T[]>(groups.length);
    const indices = groups.keys(); // which the requests under way share
    const send = async () => {
      for (const index of indices)
        answers[index] = (await this.#json<{ results: T[] }>(path, { ...call, signal }, { ...options, [field]: groups[index] })).results;
    };
    try {
      await Promise.all(Array.from({ length: REQUESTS_OF_A_LIST }, send));
    } finally {
      stop.abort();
    }
    return answers.flat();
  }

  async #knownLimits(call: CallOptions): Promise<Schemas["Limits"]> {
    return (this.#limits ??= (await this.#json<Schemas["ModelList"]>("/models", call)).limits);
  }

  async *#lines<T>(path: string, texts: Texts, options: object, { returnErrors = false, ...call }: LinesOptions): AsyncGenerator<T | Refused, void, undefined> {
    for await (const result of sendLines<T>(this.#connection, path, { ...UTF16, ...options }, texts, call)) {
      if (result instanceof Refused && !returnErrors) throw result;
      yield result;
    }
  }
}

/** Yields the items in order, in groups that fit a request each; an item over a limit is alone. */
function* cut<I>(items: readonly I[], size: (item: I) => number, limits: Schemas["Limits"]): Generator<readonly I[]> {
  const most = Math.min(limits.text_characters, Math.max(1, Math.floor((limits.body_bytes - SPARE_BYTES) / BYTES_OF_A_CHARACTER)));
  let start = 0;
  let used = 0;
  for (const [i, item] of items.entries()) {
    if (i > start && (used + size(item) > most || i - start === limits.items)) {
      yield items.slice(start, i);
      [start, used] = [i, 0];
    }
    used += size(item);
  }
  if (start < items.length) yield items.slice(start);
}

function asList(texts: string | readonly string[]): readonly string[] {
  return typeof texts === "string" ? [texts] : texts;
}

// When a failed request is sent again, and how many are under way at the same time: as in the client for Python.
const SHORTEST_MS = 50; // the wait before the first retry, which doubles with each
const LONGEST_MS = 2000;
const JITTER = 0.5; // the share of a wait that is added at random, so that clients do not come back at once
const DEPOSIT = 0.2; // of a retry, that each request adds to the budget
const FULL = 10; // retries
const SHRINK = 0.5; // requests fewer under way, per refusal

/** Counts the retries that requests have paid for; starts full. So a service that fails gets a fifth more requests at most. */
export class Budget {
  #retries = FULL;

  /** Adds the share of a request. */
  deposit(): void {
    this.#retries = Math.min(FULL, this.#retries + DEPOSIT);
  }

  /** Takes one retry; returns whether there was one. */
  withdraw(): boolean {
    if (this.#retries < 1) return false;
    this.#retries -= 1;
    return true;
  }
}

/** Bounds the requests under way: fewer after each refusal, one more after each round of answers. */
export class Window {
  readonly #most: number;
  #size: number;
  #underWay = 0;
  #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#most = this.#size = most;
  }

  /** Waits until a further request may be sent; throws the reason of the signal if that is aborted before. */
  async enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#underWay < Math.floor(this.#size) && !this.#waiting.length) {
      this.#underWay += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener("abort", giveUp);
        resolve();
      };
      const giveUp = () => {
        this.#waiting = this.#waiting.filter((one) => one !== enter);
        reject(signal.reason);
      };
      signal.addEventListener("abort", giveUp, { once: true });
      this.#waiting.push(enter);
    });
  }

  leave(): void {
    this.#underWay -= 1;
    while (this.#waiting.length && this.#underWay < Math.floor(this.#size)) {
      this.#underWay += 1;
      this.#waiting.shift()?.();
    }
  }

  /** Takes an answer into account. */
  grow(): void {
    this.#size = Math.min(this.#most, this.#size + 1 / this.#size);
  }

  /** Takes a refusal into account. */
  shrink(): void {
    this.#size = Math.max(1, this.#size - SHRINK);
  }
}

/** Returns the milliseconds to wait after a failed attempt, the first of which is 0, where the service says nothing. */
export function backoff(attempt: number): number {
  return jittered(Math.min(LONGEST_MS, SHORTEST_MS * 2 ** attempt));
}

/** Returns the milliseconds, with up to JITTER of them added. */
export function jittered(ms: number): number {
  return ms * (1 + JITTER * Math.random());
}

/** Waits; throws the reason of the signal if that is aborted before. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
  });
}

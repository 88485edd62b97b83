import type { components } from "./schema.js";

/** A problem document of the service (RFC 9457). `type` is stable; docs/errors.md lists the types. */
export type Problem = components["schemas"]["Problem"];

/** An error of a call to the service. An aborted call throws the reason of its signal instead. */
export class ClientError extends Error {
  override name = "ClientError";
}

/** The request is not valid, not allowed, or over a limit: the same request fails again. */
export class Refused extends ClientError {
  override name = "Refused";
  constructor(readonly problem: Problem) {
    super(describe(problem));
  }
}

/** The service cannot be reached, fails, or has no capacity, and the retries are used up. */
export class Unavailable extends ClientError {
  override name = "Unavailable";
  /** @param problem the last answer of the service, if it gave one. */
  constructor(
    message: string,
    readonly problem?: Problem,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The call has taken its timeout; `cause` is what its last attempt failed with, if it was not the first. */
export class DeadlineExceeded extends ClientError {
  override name = "DeadlineExceeded";
}

/** The service has no capacity, and says after how many milliseconds to send again. The client's own: it retries. */
export class NoCapacity extends Unavailable {
  constructor(
    problem: Problem,
    readonly retryMs: number,
  ) {
    super(describe(problem), problem);
  }
}

/** Returns the error that a problem document stands for. `retryAfter`: the header of the answer, in seconds. */
export function errorOf(problem: Problem, retryAfter?: string | null): ClientError {
  const { status } = problem;
  if (status === 429 || status === 503)
    return new NoCapacity(problem, 1000 * (/^\d+$/.test(retryAfter ?? "") ? Number(retryAfter) : 1));
  if (status === 408 || status === 500 || status === 502) return new Unavailable(describe(problem), problem);
  if (status === 504) return new DeadlineExceeded(describe(problem));
  return new Refused(problem);
}

function describe(problem: Problem): string {
  return `${problem.status} ${problem.title}: ${problem.detail}`;
}

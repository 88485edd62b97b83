/** A client of the service: retries, deadlines, aborts, lists and streams of any length. */
export * from "./client.js";
export type { CallOptions, ClientOptions } from "./connection.js";
export { ClientError, DeadlineExceeded, Refused, Unavailable, type Problem } from "./errors.js";
export type { Texts } from "./lines.js";
export type { components, paths } from "./schema.js";

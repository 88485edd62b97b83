// The address: its fragment holds the tab and the form's fields, so that it can be bookmarked, shared and gone back to.
// Browsers do not send the fragment to servers.

const MAX_LENGTH = 8000; // characters of encoded fields; longer ones are kept in the browser's history only

/** Returns the tab and the fields of the current history entry, or of the address if it was typed or followed. */
export function readAddress() {
  if (history.state?.fields) return history.state;
  const [tab, query] = location.hash.slice(1).split("?", 2);
  return { tab, fields: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

/**
 * Writes the tab and the fields into the address.
 *
 * Adds a history entry if they have changed. `cause` is "load" or "restore" to add none, and "typing" to replace the
 * entry of text typed just before.
 */
export function writeAddress(tab, fields, cause) {
  const query = new URLSearchParams(fields).toString();
  const before = history.state;
  const typed = cause === "typing" && before?.cause === "typing" && before.tab === tab;
  const unchanged = before?.tab === tab && JSON.stringify(before.fields) === JSON.stringify(fields);
  const method = typed || unchanged || cause === "load" || cause === "restore" ? "replaceState" : "pushState";
  history[method]({ tab, fields, cause: unchanged ? before.cause : cause }, "", query.length > MAX_LENGTH ? `#${tab}` : `#${tab}?${query}`);
}

/** Returns the address if it holds the fields; null if they are too long for it. */
export function link() {
  return location.hash.includes("?") ? location.href : null;
}

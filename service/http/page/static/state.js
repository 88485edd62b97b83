// The address' fragment: which tab, and what is in it, so that a page can be kept and passed on. It is not sent anywhere.

const LONGEST = 2000; // characters; a longer text stays out of the address

/** Returns the tab and the fields of the address. */
export function readState() {
  const [tab, query] = location.hash.slice(1).split("?", 2);
  return { tab, fields: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

/** Writes the tab and the fields into the address. */
export function writeState(tab, fields) {
  const query = new URLSearchParams(fields).toString();
  history.replaceState(null, "", !query || query.length > LONGEST ? `#${tab}` : `#${tab}?${query}`);
}

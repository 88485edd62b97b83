// Copies and saves what the page shows.

import { make } from "./dom.js";

/** Copies a text, or a promise of one. Browsers offer the clipboard to secure contexts only; elsewhere a selection is copied. */
export async function copyText(text) {
  if (navigator.clipboard) {
    const blob = Promise.resolve(text).then((content) => new Blob([content], { type: "text/plain" }));
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
    return;
  }
  const field = make("textarea", { "aria-hidden": "true", class: "hidden" });
  field.value = await text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

/** Saves a text as a file. */
export function saveFile(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { download: name, href: url }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

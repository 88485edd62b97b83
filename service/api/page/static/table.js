// Files of texts, answered as a table that can be saved: read, sent in chunks, shown, written as CSV.

import { describeProblem, request } from "./api.js";
import { saveFile } from "./clipboard.js";
import { count, make } from "./dom.js";

const MAX_BYTES = 10_000_000;
const CHUNK_TEXTS = 100; // of a request
const CHUNK_CHARACTERS = 50_000;
const SHOWN_ROWS = 50;
const TEXT = "text"; // the column that has the texts

/** The file cannot be answered. */
export class Unreadable extends Error {}

/** Reads the texts of a file: { columns, rows }, each row { cells, text }. A table has them in its column `text`, another file a line each. */
async function readTexts(file) {
  if (file.size > MAX_BYTES) throw new Unreadable(`${file.name} is larger than 10 MB. For large files there is the command "tagwerk annotate".`);
  let content = "";
  try {
    content = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Unreadable(`${file.name} is not text in UTF-8.`);
  }
  const isTable = /\.(?:csv|tsv)$/iu.test(file.name);
  const [columns, ...all] = isTable ? readTable(content) : [["line", TEXT], ...content.split(/\r?\n/u).map((line, i) => [String(i + 1), line])];
  const place = columns.indexOf(TEXT);
  if (place === -1) throw new Unreadable(`${file.name} has no column "${TEXT}", but ${columns.join(", ")}.`);
  const rows = all.map((cells) => ({ cells, text: (cells[place] ?? "").trim() && cells[place] }));
  const texts = rows.filter(({ text }) => text);
  if (texts.length === 0) throw new Unreadable(`${file.name} has no text.`);
  return { columns, rows: isTable ? rows : texts }; // rows of a table stay, also without a text
}

/** Reads the rows of CSV (RFC 4180), whose delimiter is the one that its first line has most of. */
function readTable(content) {
  const [header] = content.split("\n", 1);
  const [delimiter] = [",", ";", "\t"].toSorted((a, b) => header.split(b).length - header.split(a).length);
  const rows = [[]];
  const cell = new RegExp(String.raw`(?:"((?:[^"]|"")*)"|([^${delimiter}\r\n]*))(${delimiter}|\r?\n|$)`, "gu");
  for (const [all, quoted, plain, end] of content.matchAll(cell)) {
    if (!all) break; // the end, after the last line's
    rows.at(-1).push(quoted?.replaceAll('""', '"') ?? plain);
    if (end !== delimiter) rows.push([]);
  }
  return rows.filter((row) => row.length > 0);
}

/** Yields rows in chunks, each small enough for a request. */
function* chunksOf(rows) {
  let [chunk, characters] = [[], 0];
  for (const row of rows) {
    chunk.push(row);
    characters += row.text.length;
    if (chunk.length < CHUNK_TEXTS && characters < CHUNK_CHARACTERS) continue;
    yield chunk;
    [chunk, characters] = [[], 0];
  }
  if (chunk.length > 0) yield chunk;
}

/** The answers to the texts of a file. */
class Table {
  /** Shows the table in an element. `columns` are those that the file has; `named` its saved form. */
  constructor(element, columns, named) {
    this.columns = columns;
    this.rows = []; // cells of the file, cells of the answer, error
    this.names = []; // of the columns of answers
    this.failed = 0;
    this.head = make("tr");
    this.body = make("tbody");
    this.note = make("p", { class: "hint" });
    const saved = make("button", { type: "button", onclick: () => saveFile(named, "text/csv", this.toCsv()) }, "Save as CSV");
    const shown = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "First rows" }, make("table", {}, make("thead", {}, this.head), this.body));
    element.replaceChildren(make("div", { class: "choices" }, saved), shown, this.note);
  }

  /** Adds what came of a text: `names` and `rows` of the answer, or an error. */
  add(cells, names, rows, error = "") {
    if (names.length > 0) this.names = names;
    if (error) this.failed++;
    for (const row of rows.length > 0 ? rows : [[]]) this.rows.push([cells, row, error]);
  }

  /** Shows the first rows, and how many there are. */
  show() {
    const [header, ...rows] = this.lines(SHOWN_ROWS);
    this.head.replaceChildren(...header.map((name) => make("th", { scope: "col" }, name)));
    this.body.replaceChildren(...rows.map((row) => make("tr", {}, ...row.map((value) => make("td", { dir: "auto" }, value)))));
    const rest = this.rows.length > SHOWN_ROWS ? `, of which the first ${SHOWN_ROWS} are shown` : "";
    const failed = this.failed > 0 ? `; ${count(this.failed, "text")} could not be answered: see the column error` : "";
    this.note.textContent = `${count(this.rows.length, "row")}${rest}${failed}.`;
  }

  /** Returns the cells of the header and of the first `most` rows. */
  lines(most = Infinity) {
    const names = this.names.map((name) => (this.columns.includes(name) ? `${name} (answer)` : name));
    const last = this.failed > 0 ? ["error"] : [];
    const rows = this.rows.slice(0, most).map(([cells, row, error]) => {
      const kept = this.columns.map((_, i) => cells[i] ?? "");
      return kept.concat(names.map((_, i) => String(row[i] ?? "")), last.map(() => error));
    });
    return [[...this.columns, ...names, ...last], ...rows];
  }

  toCsv() {
    return this.lines().map((row) => `${row.map((value) => inQuotes(value)).join(",")}\r\n`).join("");
  }
}

/** Returns a cell of CSV, in quotes if it needs them. */
function inQuotes(value) {
  return /[",\r\n]/u.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

/** Returns the answers of a panel's model to texts, a result or an error each. */
async function answersTo(texts, panel, options) {
  if (texts.length === 0) return [];
  const lines = texts.map((text) => `${JSON.stringify({ text, ...panel.fieldsOf(panel.model) })}\n`);
  const response = await request(panel.task, lines.join(""), { ...options, accept: "application/x-ndjson" });
  return (await response.text()).trimEnd().split("\n").map((line) => JSON.parse(line));
}

/**
 * Answers the texts of a file as a panel answers a text: chunk by chunk. What is answered stays if the rest fails.
 *
 * The panel has `rowsOf(result)`, the columns and rows of a table.
 */
export async function answerFile(panel, file, options) {
  panel.clear();
  if (!panel.rowsOf) throw new Unreadable("Files of texts are answered by Tag and by Classify.");
  const { columns, rows } = await readTexts(file);
  const table = new Table(panel.table, columns, `${file.name.replace(/\.\w+$/u, "")}.${panel.task}.csv`);
  const all = rows.filter(({ text }) => text).length;
  let done = 0;
  for (const chunk of chunksOf(rows)) {
    const texts = chunk.map(({ text }) => text).filter(Boolean);
    const answers = await answersTo(texts, panel, options);
    for (const { cells, text } of chunk) {
      const { results, error = { title: "No answer came" } } = (text ? answers.shift() : null) ?? {};
      if (results) table.add(cells, ...panel.rowsOf(results[0]));
      else table.add(cells, [], [], text ? describeProblem(error) : "");
    }
    done += texts.length;
    panel.showMessage("");
    panel.summary.textContent = `${file.name}: ${done} of ${count(all, "text")}`;
    table.show();
  }
}

"""Reads rows from plain text, tables, JSON Lines and CoNLL-U, whose format is detected by name and content.

Each reader consumes exactly the lines of the rows that it has returned, so reading can continue at its position at any
time.
"""

import csv
import io
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from io import BufferedIOBase
from pathlib import PurePath
from typing import Any

import msgspec

from service.commands.annotate.job import LONGEST_LINE, TEXT_COLUMN, InputFormat, Job
from service.commands.annotate.rows import CUT, BadRow, RawLine, Reader, Row, UnreadableInput, without_newline
from service.errors import quantity, shortened

DELIMITERS = ",;\t|"
RECORD_BYTES = 2**20  # of a record of several lines, beside the longest text
LOOK_LIKE_ROWS = 10  # lines without spaces around delimiters
SEPARATOR = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # a first line that names the delimiter, as Excel writes it
CONLLU_COLUMNS = "ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC".split()
NOT_A_WORD = re.compile(r"\d+[-.]\d+")  # the range of a multiword token, or an empty node
_COMMENT = re.compile(r"#\s*(sent_id|newdoc id|newpar id)\s*=\s*(.*)")
COMPRESSED = (".gz", ".bz2", ".xz")
SUFFIXES: dict[str, InputFormat] = {".tab": "tsv", ".ndjson": "jsonl", ".json": "jsonl"}
SUFFIXES |= {f".{form}": form for form in ("csv", "tsv", "jsonl", "conllu", "parquet")}
_NUMBER = re.compile(r"\s*[-+.]?\d")
_ARRAY = re.compile(r"\s*\[\s*\{")
_PARQUET = re.compile(rb"PAR1[\x00-\x1f]")
_OBJECT = re.compile(r"\s*\{")
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])  # as they are encoded


def format_of(name: str, head: bytes, job: Job) -> InputFormat:
    """Returns the format of an input: the job's, or by the input's name, or by the beginning of its content.

    Content is a table if the first line has the text column beside others, without spaces around delimiters, and JSON
    Lines if the first line begins an object that has such a member; otherwise it is plain text.
    """
    if job.input_format is not None:
        return job.input_format
    if _PARQUET.match(head):
        return "parquet"
    path = PurePath(name.lower())
    suffix = path.with_suffix("").suffix if path.suffix in COMPRESSED else path.suffix
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    text, column = _decoded(head, job), job.text_column
    first = text.lstrip().partition("\n")[0]
    member = re.escape(msgspec.json.encode(column).decode()) + r"\s*:"
    if _ARRAY.match(text) or (_OBJECT.match(first) and re.search(member, first)):
        return "jsonl"
    if SEPARATOR.match(text):
        return "csv"
    delimiter = delimiter_of(text, column)
    header = header_of(text, delimiter)
    if len(header) < 2 or column not in header or any(cell != cell.strip() for cell in header):
        return "text"
    return "tsv" if delimiter == "\t" else "csv"


class Lines(Reader):
    """Plain text, a row per line; Parquet keeps it."""

    def read(self) -> Row:
        text = without_newline(self.read_line(self._job.longest_text, CUT))
        return self.text_row(self.position.lines, text, {TEXT_COLUMN: text} if self._job.form == "parquet" else {})


class Objects(Reader):
    """JSON Lines; a blank line is a row without members."""

    def read(self) -> Row:
        content, column = self.read_line().strip(), self._job.text_column
        number = self.position.lines
        if not content:
            return self.text_row(number, "")
        try:
            members = _MEMBERS.decode(content)
            value = msgspec.json.decode(members.get(column, b"null"))
        except (msgspec.DecodeError, RecursionError) as error:
            advice = "write one object in each line, as jq -c . does"
            if content.startswith("["):
                advice = "write its items as one object in each line, as jq -c '.[]' does"
            raise self.error(f"is not a JSON object: {error}: {advice}") from None
        if column not in members:
            names = ", ".join(members) or "none"
            advice = "name the one with the text with --text-column"
            raise self.error(f"no member {column!r}: {advice}; there are: {names}")
        if self._job.tokenized and isinstance(value, list) and all(isinstance(one, str) and one for one in value):
            return Row(number, "", value, members)
        if value is None or isinstance(value, str):
            return self.text_row(number, value or "", members)
        raise self.error(f"{column!r} is {shortened(msgspec.json.encode(value).decode())}, not a string")


class Table(Reader, Iterator[str]):
    """CSV, or values that are separated by tabs. As an iterator, yields the lines of a record while `csv.reader` wants.

    A bad record ends with its first line, and the next line begins another one: so a quote too many costs one row, not
    those up to the next quote. Each line that is read again for that is a record by itself.
    """

    def __init__(self, file: BufferedIOBase, head: bytes, name: str, job: Job, *, tabs: bool = False) -> None:
        """Reads the header.

        Cells of CSV may be quoted, and its delimiter is one of DELIMITERS, or named by the job or a line before the
        header. With `tabs`, quotes have no meaning. Raises UnreadableInput if there is no text column.
        """
        super().__init__(file, head, name, job)
        csv.field_size_limit(LONGEST_LINE)
        options: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
        if not tabs:
            text = _decoded(head, job)
            if named := SEPARATOR.match(text):
                self.read_line()
            delimiter = job.delimiter or (named[1] if named else delimiter_of(text, job.text_column))
            options = {"delimiter": delimiter, "quotechar": '"', "strict": True}
        self._records = csv.reader(self, **options)
        self._start, self._most = self.position, LONGEST_LINE  # of the record that is read, and its most bytes
        self.row.clear()
        try:
            columns = [cell.strip() for cell in next(self._records, [])]
        except csv.Error as error:
            raise self.error(str(error), 1) from None
        self._place = column_of(columns, job.text_column, name)
        self._names = [column or f"column_{i}" for i, column in enumerate(columns, 1)]
        if twice := [column for column in self._names if self._names.count(column) > 1]:
            raise UnreadableInput(f"{name} has several columns {twice[0]!r}: name each otherwise")
        self.layout = replace(self.layout, columns=columns, csv=options)

    def read(self) -> Row:
        """Reads a record; for a blank line returns a row that keeps nothing."""
        is_read_again = bool(self.again)
        self._start, self._most = self.position, RECORD_BYTES + self._job.longest_text
        line = self._start.lines + 1
        try:
            cells = next(self._records)
            if cells and len(cells) != len(self._names):
                raise self.error(self._miscounted(cells), line)
            if self._takes_in_rows(cells, self.row[1:]):
                raise self.error(f"a quote that takes in {len(self.row) - 1} lines that look like rows", line)
            if is_read_again and sum(one.content.count(b'"') for one in self.row) % 2:
                raise self.error("a quote that is not closed, or was opened in an earlier line", line)
        except csv.Error as error:
            right = 'put cells with delimiters, quotes or line ends in double quotes, and write a quote in them as ""'
            reason = f"{error}: {right}"
        except BadRow as error:
            reason = error.reason if error.line == line else f"{error.reason}, in line {error.line}"
        else:
            return self.text_row(line, cells[self._place] if cells else "", dict(zip(self._names, cells, strict=False)))
        self.keep_first()
        raise self.error(reason, line)

    def __next__(self) -> str:
        """Returns the next line of a record. Raises BadRow if it cannot belong to it."""
        first = self._start.lines + 1
        if self.row and self.again:
            raise self.error("a quote that is not closed in this line", first)
        if self.row and self.position.bytes - self._start.bytes > self._most:
            raise self.error(f"a quote that is not closed within {self._most:,} bytes", first)
        return self.read_line()

    def _takes_in_rows(self, cells: Sequence[str], further: Sequence[RawLine]) -> bool:
        """Returns whether the further lines of a record look like rows of this table.

        All have its number of cells, at least ten no spaces around delimiters (in a text, most delimiters have spaces
        behind them), and at least half numbers in the same columns as the record, whose cells are `cells`.
        """
        read = (without_newline(one.content.decode(self._job.encoding)) for one in further)
        rows = [header_of(line, self.layout.csv["delimiter"]) for line in read]
        if len(self._names) == 1 or {*map(len, rows)} != {len(self._names)}:
            return False
        numbers, *of_rows = ([bool(_NUMBER.match(cell)) for cell in row[:-1]] for row in (cells, *rows))
        dense = sum(row == [cell.strip() for cell in row] for row in rows)
        alike = of_rows.count(numbers)
        return dense >= LOOK_LIKE_ROWS and 2 * alike >= len(rows)

    def _miscounted(self, cells: Sequence[str]) -> str:
        may_quote = self.layout.csv["quotechar"] is not None
        advice = "quote cells with delimiters" if may_quote else "if cells are quoted, --input-format csv"
        return f"{quantity(len(cells), 'cell')}, and the header has {len(self._names)}: {advice}"


def column_of(columns: Sequence[str], name: str, source: str) -> int:
    """Returns the place of the column with the texts. Raises UnreadableInput if `source` has none of this name."""
    if name not in columns:
        advice = f"name the one with the texts with --text-column; there are: {', '.join(columns) or 'none'}"
        raise UnreadableInput(f"{source} has no column {name!r}: {advice}")
    return columns.index(name)


def delimiter_of(text: str, column: str) -> str:
    """Returns the delimiter that splits the header so that it has a column, or else into the most columns."""
    headers = {delimiter: [cell.strip() for cell in header_of(text, delimiter)] for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda delimiter: (column in headers[delimiter], len(headers[delimiter])))


def header_of(text: str, delimiter: str) -> list[str]:
    """Returns the cells of a table's first row; none if there is none."""
    with suppress(csv.Error, StopIteration):
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    return []


class Sentences(Reader):
    """CoNLL-U (universaldependencies.org/format.html): sentences with their words' forms.

    Only a sentence's block has multiword tokens and empty nodes.
    """

    def read(self) -> Row:
        """Reads a sentence, to its end also if it is bad."""
        block: list[str] = []
        first, bad = 0, None
        while True:
            try:
                line = without_newline(self.read_line())
            except BadRow as error:
                bad, line = bad or error, "#"
            except StopIteration:
                if not block:
                    raise
                break
            if not line.strip():
                if block:
                    break
                continue
            first = first or self.position.lines
            block.append(line)
        if bad is not None:
            raise bad
        tokens: list[str] = []
        for number, line in enumerate(block, first):
            cells = line.split("\t")
            if not line.startswith("#") and not NOT_A_WORD.fullmatch(cells[0]):
                if problem := _problem(cells, len(tokens) + 1):
                    raise self.error(problem, number)
                tokens.append(cells[1])
        if sum(map(len, tokens)) + len(tokens) - 1 > self._job.longest_text:
            raise self.error(f"the sentence is longer than {self._job.longest_text} characters: {CUT}", first)
        comments = filter(None, map(_COMMENT.fullmatch, block))
        kept = {comment[1].replace(" ", "_"): comment[2].strip() for comment in comments}
        return Row(first, "", tokens, kept, block)


def _decoded(head: bytes, job: Job) -> str:
    """Decodes the beginning of a content, without a byte order mark; what is not valid is replaced."""
    return head.removeprefix(BOM_UTF8).decode(job.encoding, errors="replace")


def _problem(cells: Sequence[str], expected: int) -> str | None:
    """Returns what is wrong with the line of a word whose ID should be `expected`."""
    if len(cells) != len(CONLLU_COLUMNS):
        count = quantity(len(cells), "column")
        return f"{count}, not {len(CONLLU_COLUMNS)}, separated by tabs: {' '.join(CONLLU_COLUMNS)}"
    if cells[0] != str(expected):
        problem = f"the ID {shortened(cells[0])!r}, not {expected}"
        return f"{problem}: words are numbered from 1, and a blank line ends each sentence"
    return None if cells[1].strip() else "FORM is empty"


READERS: dict[InputFormat, Callable[[BufferedIOBase, bytes, str, Job], Reader]] = {
    "text": Lines,
    "csv": Table,
    "tsv": partial(Table, tabs=True),
    "jsonl": Objects,
    "conllu": Sentences,
}

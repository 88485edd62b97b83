"""Reads rows from plain text, tables, JSON Lines and CoNLL-U, whose format is detected by name and content.

Each reader consumes exactly the lines of the rows that it has returned, so reading can continue at the position of the
lines at any time.
"""

import csv
import io
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import PurePath
from typing import Any

import msgspec

from service.commands.annotate.job import LONGEST_LINE, TEXT_COLUMN, InputFormat, Job
from service.commands.annotate.rows import (
    CUT,
    BadRow,
    Layout,
    Lines,
    RawLine,
    Row,
    UnreadableInput,
    import_extra,
    without_newline,
)
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
    text, column = decoded(head, job), job.text_column
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


def make_reader(kind: InputFormat, lines: Lines, head: bytes, job: Job) -> tuple[Callable[[], Row], Layout]:
    """Returns what reads a row of a format, after reading the header of a table. Raises UnreadableInput."""
    layout = Layout(lines.name, has_mark=head.startswith(BOM_UTF8))
    if kind == "conllu":
        if job.task != "tag":
            advice = "write its texts to a file of lines"
            raise UnreadableInput(f"{lines.name} is CoNLL-U, which is for --task tag: {advice}")
        return partial(read_sentence, lines, job), layout
    if kind == "jsonl":
        return partial(_read_object, lines, job), layout
    if kind == "text":
        if job.text_column != TEXT_COLUMN:
            problem = "plain text: name another format with --input-format if it is one"
            raise UnreadableInput(f"{lines.name} has no column {job.text_column!r}, since it is {problem}")
        return partial(_read_text, lines, job), layout
    table = Table(lines, kind, decoded(head, job), job)
    return table.read, Layout(lines.name, table.columns, table.csv, layout.has_mark)


def decoded(head: bytes, job: Job) -> str:
    """Decodes the beginning of a content, without a byte order mark; what is not valid is replaced."""
    return head.removeprefix(BOM_UTF8).decode(job.encoding, errors="replace")


def import_parquet() -> Any:
    """Returns the module for Parquet. Raises UnreadableInput without the extra that it needs."""
    return import_extra(f"{__package__}.parquet", "files", "Parquet")


def _read_text(lines: Lines, job: Job) -> Row:
    """Reads a line, which Parquet keeps."""
    text = without_newline(lines.read(job.longest_text, CUT))
    return lines.text_row(lines.position.lines, text, job, {TEXT_COLUMN: text} if job.form == "parquet" else {})


def _read_object(lines: Lines, job: Job) -> Row:
    """Reads a line; returns a row without members for a blank one."""
    content, column = lines.read().strip(), job.text_column
    number = lines.position.lines
    if not content:
        return lines.text_row(number, "", job)
    try:
        members = _MEMBERS.decode(content)
        value = msgspec.json.decode(members.get(column, b"null"))
    except (msgspec.DecodeError, RecursionError) as error:
        advice = "write one object in each line, as jq -c . does"
        if content.startswith("["):
            advice = "write its items as one object in each line, as jq -c '.[]' does"
        raise lines.error(f"is not a JSON object: {error}: {advice}") from None
    if column not in members:
        names = ", ".join(members) or "none"
        raise lines.error(f"no member {column!r}: name the one with the text with --text-column; there are: {names}")
    if job.tokenized and isinstance(value, list) and all(isinstance(one, str) and one for one in value):
        return Row(number, "", value, members)
    if value is None or isinstance(value, str):
        return lines.text_row(number, value or "", job, members)
    raise lines.error(f"{column!r} is {shortened(msgspec.json.encode(value).decode())}, not a string")


class Table(Iterator[str]):
    """A table whose header has been read. As an iterator, yields the lines of a record while `csv.reader` wants more.

    A bad record ends with its first line, and the next line begins another one: so a quote too many costs one row, not
    those up to the next quote. Each line that is read again for that is a record by itself.

    Attributes:
        columns: of the header.
        names: of the cells of a row: those of the columns, which may have none.
        csv: arguments of `csv.reader` and `csv.writer`.
    """

    def __init__(self, lines: Lines, kind: InputFormat, head: str, job: Job) -> None:
        """Reads the header. `head` is the beginning of the content.

        Cells of CSV may be quoted, and its delimiter is one of DELIMITERS, or named by the job or a line before the
        header. In tab-separated values, quotes have no meaning. Raises UnreadableInput if there is no text column.
        """
        csv.field_size_limit(LONGEST_LINE)
        self._lines, self._job = lines, job
        self.csv: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
        if kind == "csv":
            named = SEPARATOR.match(head)
            if named:
                lines.read()
            delimiter = job.delimiter or (named[1] if named else delimiter_of(head, job.text_column))
            self.csv = {"delimiter": delimiter, "strict": True}
        self._start, self._most = lines.position, LONGEST_LINE  # of the record that is read, and its most bytes
        lines.row.clear()
        try:
            self.columns = [cell.strip() for cell in next(csv.reader(self, **self.csv), [])]
        except csv.Error as error:
            raise lines.error(str(error), 1) from None
        self._place = column_of(self.columns, job.text_column, lines.name)
        self.names = [name or f"column_{i}" for i, name in enumerate(self.columns, 1)]
        if twice := [name for name in self.names if self.names.count(name) > 1]:
            raise UnreadableInput(f"{lines.name} has several columns {twice[0]!r}: name each otherwise")
        self._records = csv.reader(self, **self.csv)

    def read(self) -> Row:
        """Reads a record; for a blank line returns a row that keeps nothing. Raises StopIteration, and BadRow."""
        lines, is_read_again = self._lines, bool(self._lines.again)
        self._start, self._most = lines.position, RECORD_BYTES + self._job.longest_text
        line = self._start.lines + 1
        try:
            cells = next(self._records)
            if cells and len(cells) != len(self.columns):
                raise lines.error(self._miscounted(cells), line)
            if self._takes_in_rows(lines.row[1:]):
                raise lines.error(f"a quote that takes in {len(lines.row) - 1} lines that look like rows", line)
            if is_read_again and sum(one.content.count(b'"') for one in lines.row) % 2:
                raise lines.error("a quote that is not closed, or was opened in an earlier line", line)
        except csv.Error as error:
            right = 'put cells with delimiters, quotes or line ends in double quotes, and write a quote in them as ""'
            reason = f"{error}: {right}"
        except BadRow as error:
            reason = error.reason if error.line == line else f"{error.reason}, in line {error.line}"
        else:
            kept = dict(zip(self.names, cells, strict=False))
            return lines.text_row(line, cells[self._place] if cells else "", self._job, kept)
        lines.keep_first()
        raise lines.error(reason, line)

    def __next__(self) -> str:
        """Returns the next line of a record. Raises BadRow if it cannot belong to it."""
        lines, first = self._lines, self._start.lines + 1
        if lines.row and lines.again:
            raise lines.error("a quote that is not closed in this line", first)
        if lines.row and lines.position.bytes - self._start.bytes > self._most:
            raise lines.error(f"a quote that is not closed within {self._most:,} bytes", first)
        return lines.read()

    def _takes_in_rows(self, further: Sequence[RawLine]) -> bool:
        """Returns whether all lines of a record but the first look like rows by their cells, and ten by their spaces.

        In a text, most delimiters have spaces behind them.
        """
        read = (without_newline(one.content.decode(self._job.encoding)) for one in further)
        rows = [header_of(line, self.csv["delimiter"]) for line in read]
        dense = sum(cells == [cell.strip() for cell in cells] for cells in rows)
        return len(self.columns) > 1 and {*map(len, rows)} == {len(self.columns)} and dense >= LOOK_LIKE_ROWS

    def _miscounted(self, cells: Sequence[str]) -> str:
        advice = "quote cells with delimiters" if "strict" in self.csv else "if cells are quoted, --input-format csv"
        return f"{quantity(len(cells), 'cell')}, and the header has {len(self.columns)}: {advice}"


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


def read_sentence(lines: Lines, job: Job) -> Row:
    """Reads a sentence of CoNLL-U (universaldependencies.org/format.html), with its words' forms.

    Only its block has multiword tokens and empty nodes. Raises StopIteration, and BadRow after the last line of a bad
    sentence.
    """
    block: list[str] = []
    first, bad = 0, None
    while True:
        try:
            line = without_newline(lines.read())
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
        first = first or lines.position.lines
        block.append(line)
    if bad is not None:
        raise bad
    tokens: list[str] = []
    for number, line in enumerate(block, first):
        cells = line.split("\t")
        if not line.startswith("#") and not NOT_A_WORD.fullmatch(cells[0]):
            if problem := _problem(cells, len(tokens) + 1):
                raise lines.error(problem, number)
            tokens.append(cells[1])
    if sum(map(len, tokens)) + len(tokens) - 1 > job.longest_text:
        raise lines.error(f"the sentence is longer than {job.longest_text} characters: {CUT}", first)
    comments = filter(None, map(_COMMENT.fullmatch, block))
    kept = {comment[1].replace(" ", "_"): comment[2].strip() for comment in comments}
    return Row(first, "", tokens, kept, block)


def _problem(cells: Sequence[str], expected: int) -> str | None:
    """Returns what is wrong with the line of a word whose ID should be `expected`."""
    if len(cells) != len(CONLLU_COLUMNS):
        count = quantity(len(cells), "column")
        return f"{count}, not {len(CONLLU_COLUMNS)}, separated by tabs: {' '.join(CONLLU_COLUMNS)}"
    if cells[0] != str(expected):
        problem = f"the ID {shortened(cells[0])!r}, not {expected}"
        return f"{problem}: words are numbered from 1, and a blank line ends each sentence"
    return None if cells[1].strip() else "FORM is empty"

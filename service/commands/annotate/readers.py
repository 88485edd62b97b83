"""Reads rows from plain text, tables, JSON Lines and CoNLL-U, whose format is detected by name and content.

Each reader consumes exactly the lines of the rows that it has returned, so that the position of the lines is always
one from which reading can continue.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import Any

import msgspec

from service.commands.annotate.conllu import read_sentence
from service.commands.annotate.rows import (
    CUT,
    TEXT_COLUMN,
    BadRow,
    Content,
    InputFormat,
    InputOptions,
    Layout,
    LineFormat,
    Lines,
    Rejected,
    Row,
    UnreadableInput,
    name_taken,
    text_row,
    without_newline,
)
from service.commands.annotate.tables import SEPARATOR, Table, delimiter_of, header_of
from service.errors import shortened

REJECTED_BYTES = 10_000  # of a bad row's content that are kept
SUFFIXES: dict[str, InputFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".conllu": "conllu",
    ".parquet": "parquet",
}
_ARRAY = re.compile(r"\s*\[\s*\{")
_PARQUET = re.compile(rb"PAR1[\x00-\x1f]")
_OBJECT = re.compile(r"\s*\{")


@dataclass(frozen=True, slots=True)
class Reader:
    """The rows of an input, each read when it is needed, and what an output takes over from it."""

    rows: Iterator[Row | Rejected]
    layout: Layout


def format_of(name: str, head: bytes, options: InputOptions) -> InputFormat:
    """Returns the format of an input: the one in the options, or by its name, or by the beginning of its content.

    Content is a table if the first line has the text column beside others, without spaces around delimiters, and JSON
    Lines if the first line begins an object that has such a member; otherwise it is plain text.
    """
    if options.format is not None:
        return options.format
    if _PARQUET.match(head):
        return "parquet"
    path = PurePath(name)
    suffix = path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix
    if suffix.lower() in SUFFIXES:
        return SUFFIXES[suffix.lower()]
    column = options.text_column or TEXT_COLUMN
    text = decoded(head, options)
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


def make_reader(kind: LineFormat, lines: Lines, head: bytes, options: InputOptions, longest: int) -> Reader:
    """Returns a reader of a format's rows, after reading the header of a table.

    `longest` is the longest text in characters. Raises UnreadableInput, as does reading rows.
    """
    read: Callable[[], Row]
    layout = Layout()
    if kind == "conllu":
        if options.task != "tag":
            raise UnreadableInput(
                f"{lines.name} is CoNLL-U, which is for --task tag: write its texts to a file of lines"
            )
        read = partial(read_sentence, lines, longest)
    elif kind == "jsonl":
        read = partial(_read_object, lines, options, longest)
    elif kind == "text":
        if options.text_column is not None:
            problem = "plain text: name another format with --input-format if it is one"
            raise UnreadableInput(f"{lines.name} has no column {options.text_column!r}, since it is {problem}")
        read = partial(_read_text, lines, options, longest)
    else:
        table = Table(lines, kind, decoded(head, options), options)
        read, layout = partial(table.read, longest), table.layout
    layout = replace(layout, has_mark=head.startswith(BOM_UTF8))
    return Reader(each(read, lines, options.strict), layout)


def decoded(head: bytes, options: InputOptions) -> str:
    """Decodes the beginning of a content, without a byte order mark; what is not valid is replaced."""
    return head.removeprefix(BOM_UTF8).decode(options.encoding, errors="replace")


def each(read: Callable[[], Row], lines: Content, strict: bool) -> Iterator[Row | Rejected]:
    """Yields rows until `read` raises StopIteration. Raises UnreadableInput, for a bad row if `strict`."""
    while True:
        lines.row.clear()
        try:
            row: Row | Rejected = read()
        except StopIteration:
            return
        except BadRow as bad:
            if strict:
                raise
            content = b"".join(line.content for line in lines.row)[:REJECTED_BYTES]
            row = Rejected(bad.line, bad.reason, content.decode(errors="backslashreplace"), max(1, len(lines.row)))
        yield row


def _read_text(lines: Lines, options: InputOptions, longest: int) -> Row:
    """Reads a line."""
    text = without_newline(lines.read(longest, CUT))
    return text_row(lines, lines.position.lines, text, options, longest)


def _read_object(lines: Lines, options: InputOptions, longest: int) -> Row:
    """Reads a line; returns a row without members for a blank one."""
    column = options.text_column or TEXT_COLUMN
    content = next(lines).strip()
    number = lines.position.lines
    if not content:
        return text_row(lines, number, "", options, longest)
    found = _object(lines, content)
    if column not in found:
        names = ", ".join(map(str, found)) or "none"
        raise lines.error(f"no member {column!r}: name the one with the text with --text-column; there are: {names}")
    if taken := [name for name in found if name in options.taken_members]:
        raise name_taken(f"{lines.name}, line {number}: has a member", taken[0])
    members = b"%b%b" % (b"" if "line" in found else b'"line":%d,' % number, content[1:-1].strip().encode())
    value = found[column]
    if options.tokenized and isinstance(value, list) and all(isinstance(one, str) and one for one in value):
        return Row(number, "", value, members=members, record=found)
    if value is None or isinstance(value, str):
        return text_row(lines, number, value or "", options, longest)._replace(members=members, record=found)
    raise lines.error(f"{column!r} is {shortened(msgspec.json.encode(value).decode())}, not a string")


def _object(lines: Lines, content: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        found, problem = None, f"is not a JSON object: {error}"
    else:
        problem = "is not a JSON object"
    if isinstance(found, dict):
        return found
    advice = "write one object in each line, as jq -c . does"
    if content.startswith("["):
        advice = "write its items as one object in each line, as jq -c '.[]' does"
    raise lines.error(f"{problem}: {advice}")

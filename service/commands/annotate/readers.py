"""Reads rows from plain text, tables, JSON Lines and CoNLL-U, whose format is detected by name and content.

Each reader consumes exactly the lines of the rows that it has returned, so reading can continue at the position of the
lines at any time.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import Any

import msgspec

from service.commands.annotate.conllu import read_sentence
from service.commands.annotate.job import TEXT_COLUMN, InputFormat, Job
from service.commands.annotate.rows import CUT, Layout, Lines, Row, UnreadableInput, import_extra, without_newline
from service.commands.annotate.tables import SEPARATOR, Table, delimiter_of, header_of
from service.errors import shortened

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
    return import_extra("service.commands.annotate.parquet", "files", "Parquet")


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

"""The rows of an input: texts with their line numbers, and what is kept of the input beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from service.errors import TagwerkError, install

CUT = "cut it, or set TAGWERK_MAX_TEXT_CHARACTERS"


class UnreadableInput(TagwerkError):  # noqa: N818 (says what happened)
    """A file cannot be annotated."""


class BadRow(UnreadableInput):
    """A row cannot be annotated; those after it can.

    Attributes:
        line: the number of its line, from 1.
        reason: what is wrong with it, without its place.
    """

    def __init__(self, name: str, line: int, reason: str) -> None:
        super().__init__(f"{name}, line {line}: {reason}")
        self.line = line
        self.reason = reason


class Position(NamedTuple):
    """A position in a file: whole lines, and their bytes; of a compressed file, its content's.

    `again` counts lines behind it that have been read, and are read again.
    """

    lines: int = 0
    bytes: int = 0
    again: int = 0


class Row(NamedTuple):
    """A text of an input.

    Attributes:
        line: the number of the line that it begins in, from 1.
        text: the text; empty if there are tokens.
        tokens: the tokens of tokenized input, otherwise None.
        kept: what is kept of the input, by name: cells, members of a JSON object, comments; nothing of a blank line.
        block: the lines of a sentence of CoNLL-U, without newlines.
        record: what is kept of a row of Parquet for an output with types, as a batch of Arrow.
    """

    line: int
    text: str
    tokens: Sequence[str] | None = None
    kept: Mapping[str, Any] = {}
    block: Sequence[str] = ()
    record: Any = None

    @property
    def is_blank(self) -> bool:
        """Whether it has no text."""
        return not self.tokens and (not self.text or self.text.isspace())


class Rejected(NamedTuple):
    """A bad row that is left out: the number of its line, why, its content or the beginning of it, and its lines."""

    line: int
    reason: str
    content: str
    lines: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """What an output takes over from its input, besides rows.

    Attributes:
        name: the input's.
        columns: of a table, by its header.
        csv: arguments of `csv.reader` and `csv.writer`, such as the delimiter.
        has_mark: whether the content begins with a byte order mark.
        schema: for outputs with types, the schema of what is kept.
    """

    name: str = ""
    columns: Sequence[str] = ()
    csv: Mapping[str, Any] = field(default_factory=dict)
    has_mark: bool = False
    schema: Any = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, and the bad ones among them. `start` and `end` are the positions before and after them."""

    rows: list[Row]
    start: Position
    end: Position
    layout: Layout = Layout()
    rejected: Sequence[Rejected] = ()


def import_extra(module: str, extra: str, what: str) -> ModuleType:
    """Imports a module of an extra. Raises UnreadableInput, which names what needs it, if it is not installed."""
    try:
        return import_module(module)
    except ImportError:
        raise UnreadableInput(f"{what} needs the extra `{extra}`: {install(extra)}") from None

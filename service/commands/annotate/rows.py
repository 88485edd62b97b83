"""The rows of an input: texts with their places, and what is kept of the input beside them; and what reads them."""

from codecs import BOM_UTF8
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from io import BufferedIOBase
from types import ModuleType
from typing import Any, NamedTuple

from service.commands.annotate.job import LONGEST_LINE, Job
from service.errors import TagwerkError, install

SKIPPED_BYTES = 2**20  # at a time
NOTHING: Mapping[str, Any] = {}
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
    """

    line: int
    text: str
    tokens: Sequence[str] | None = None
    kept: Mapping[str, Any] = NOTHING
    block: Sequence[str] = ()

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
    """

    name: str = ""
    columns: Sequence[str] = ()
    csv: Mapping[str, Any] = field(default_factory=dict)
    has_mark: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, and the bad ones among them. `start` and `end` are the positions before and after them."""

    rows: list[Row]
    start: Position
    end: Position
    layout: Layout = Layout()
    rejected: Sequence[Rejected] = ()


class RawLine(NamedTuple):
    """A line as it was read, without what is beyond the longest, and its size in bytes."""

    content: bytes
    size: int


class Reader:
    """Reads the rows of a file. There is a subclass for each format.

    Attributes:
        layout: what an output takes over.
        position: after the last line that was read.
        row: the lines that were read since it was emptied.
        again: lines behind the position that have been read, and are read again.
    """

    def __init__(self, file: BufferedIOBase, head: bytes, name: str, job: Job) -> None:
        """`head` is the beginning of the content. Raises UnreadableInput if its format is not right."""
        self.layout = Layout(name, has_mark=head.startswith(BOM_UTF8))
        self.position = Position()
        self.row: list[RawLine] = []
        self.again: deque[RawLine] = deque()
        self._file, self._job = file, job

    def read(self) -> Row:
        """Reads a row. Raises StopIteration; BadRow if the row is invalid, which has been read, too."""
        raise NotImplementedError

    def read_line(self, longest: int = LONGEST_LINE, advice: str = "cut it") -> str:
        """Returns the next line. Raises StopIteration; BadRow if it is not in the encoding, or too long.

        `longest` is in characters, without the newline.
        """
        line = self.again.popleft() if self.again else self._next(4 * longest + 3)  # a code point has 4 bytes at most
        if not line.content:
            raise StopIteration
        self.row.append(line)
        lines, end, _ = self.position
        self.position = Position(lines + 1, end + line.size, len(self.again))
        text = None
        try:
            text = line.content.removeprefix(b"" if lines else BOM_UTF8).decode(self._job.encoding)
        except UnicodeDecodeError as error:
            if len(line.content) <= 4 * longest:
                problem = f"not {self._job.encoding.upper()} at byte {error.start + 1}"
                raise self.error(f"{problem}: name its encoding with --encoding, such as cp1252") from None
        if text is None or len(without_newline(text)) > longest:
            raise self.error(f"longer than {longest} characters: {advice}")
        return text

    def _next(self, most: int) -> RawLine:
        """Reads a line, and keeps its first `most` bytes."""
        content = rest = self._file.readline(most)
        size = len(content)
        while len(content) == most and rest and not rest.endswith(b"\n"):
            rest = self._file.readline(SKIPPED_BYTES)
            size += len(rest)
        return RawLine(content, size)

    def keep_first(self) -> None:
        """Leaves only the first line in the row; those after it are read again."""
        first, *others = self.row
        self.again.extendleft(reversed(others))
        lines, end, _ = self.position
        self.position = Position(lines - len(others), end - sum(line.size for line in others), len(self.again))
        self.row = [first]

    def seek(self, position: Position) -> None:
        """Continues at a position of a file that can seek."""
        self._file.seek(position.bytes)
        self.again = deque(self._next(4 * LONGEST_LINE + 3) for _ in range(position.again))
        self.position = position

    def error(self, reason: str, line: int | None = None) -> BadRow:
        """Returns an error that names the file and a line, by default the last one."""
        return BadRow(self.layout.name, line or self.position.lines, reason)

    def text_row(self, line: int, text: str, kept: Mapping[str, Any] = NOTHING) -> Row:
        """Returns the row of a text, or of its tokens. Raises BadRow if it is too long."""
        if len(text) > self._job.longest_text:
            raise self.error(f"the text is longer than {self._job.longest_text} characters: {CUT}", line)
        return Row(line, "", text.split(), kept) if self._job.tokenized else Row(line, text, None, kept)


def without_newline(line: str) -> str:
    """Removes the newline at the end of a line."""
    return line.removesuffix("\n").removesuffix("\r")


def import_extra(module: str, extra: str, what: str) -> ModuleType:
    """Imports a module of an extra. Raises UnreadableInput, which names what needs it, if it is not installed."""
    try:
        return import_module(module)
    except ImportError:
        raise UnreadableInput(f"{what} needs the extra `{extra}`: {install(extra)}") from None

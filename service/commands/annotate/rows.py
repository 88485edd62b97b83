"""The rows of an input: texts with their line numbers, and what is kept of the input beside them."""

from codecs import BOM_UTF8
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Any, Literal, NamedTuple, Protocol, Self

from service.errors import TagwerkError

LineFormat = Literal["text", "csv", "tsv", "jsonl", "conllu"]
InputFormat = LineFormat | Literal["parquet"]
TEXT_COLUMN = "text"
LONGEST_LINE = 2**24  # characters of a structured input's line
SKIPPED_BYTES = 2**20  # at a time
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


@dataclass(frozen=True, slots=True)
class InputOptions:
    """How inputs are read.

    Attributes:
        task: the task that the texts are for.
        format: the format of all inputs; None determines it by name and content.
        text_column: the column of tables, or member of JSON objects, that has the text; None is TEXT_COLUMN.
        tokenized: texts are tokens separated by spaces.
        taken_columns: names of the output, which no column of a table may have.
        taken_members: names of the output, which no member of a JSON object may have.
        strict: a bad row is an error; otherwise it is left out.
        typed: whether the output has typed columns, so that rows need their values.
        encoding: of all inputs but Parquet; one in which line ends and delimiters are as in ASCII.
        delimiter: of CSV; None determines it by the header.
    """

    task: str = "tag"
    format: InputFormat | None = None
    text_column: str | None = None
    tokenized: bool = False
    taken_columns: frozenset[str] = frozenset()
    taken_members: frozenset[str] = frozenset()
    strict: bool = True
    typed: bool = False
    encoding: str = "utf-8"
    delimiter: str | None = None


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
        cells: all cells of a table's row; none for a blank line.
        members: the members of a JSON object, encoded as in the input, and `line` unless it is one of them.
        block: the lines of a sentence of CoNLL-U, without newlines.
        record: for typed outputs, the values of the row: by name, or as a batch of Arrow and the place in it.
    """

    line: int
    text: str
    tokens: Sequence[str] | None = None
    cells: Sequence[str] = ()
    members: bytes = b""
    block: Sequence[str] = ()
    record: Any = None


class Rejected(NamedTuple):
    """A bad row that is left out: the number of its line, why, its content or the beginning of it, and its lines."""

    line: int
    reason: str
    content: str
    lines: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """What an output in CSV takes over from its input.

    Attributes:
        columns: of a table, by its header.
        text: the place of the column with the texts.
        csv: arguments of `csv.reader` and `csv.writer`, such as the delimiter.
        has_mark: whether the content begins with a byte order mark.
    """

    columns: Sequence[str] = ()
    text: int = 0
    csv: Mapping[str, Any] = field(default_factory=dict)
    has_mark: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, and the bad ones among them.

    `start` and `end` are the positions before and after them. `schema` are the types of columns for typed outputs.
    """

    rows: list[Row]
    start: Position
    end: Position
    layout: Layout = Layout()
    rejected: Sequence[Rejected] = ()
    schema: Any = None


class RawLine(NamedTuple):
    """A line as it was read, without what is beyond the longest, and its size in bytes."""

    content: bytes
    size: int


class Lines(Iterator[str]):
    """The lines of a file, with their newlines.

    Attributes:
        position: after the last line that was returned.
        row: the lines that were read since it was emptied.
        again: lines behind the position that have been read, and are read again.
    """

    def __init__(self, file: BufferedIOBase, name: str, encoding: str = "utf-8") -> None:
        self.position = Position()
        self.row: list[RawLine] = []
        self.again: deque[RawLine] = deque()
        self.name = name
        self._file = file
        self._encoding = encoding

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        return self.read(LONGEST_LINE)

    def read(self, longest: int, advice: str = "cut it") -> str:
        """Returns the next line. Raises StopIteration; BadRow if it is not in the encoding, or too long.

        `longest` is in characters, without the newline.
        """
        most = 4 * longest + 3  # a code point has at most 4 bytes
        raw, size = self.again.popleft() if self.again else self._raw_line(most)
        if not raw:
            raise StopIteration
        self.row.append(RawLine(raw, size))
        lines, end, _ = self.position
        self.position = Position(lines + 1, end + size, len(self.again))
        try:
            line = raw.removeprefix(b"" if lines else BOM_UTF8).decode(self._encoding)
        except UnicodeDecodeError as error:
            if len(raw) <= 4 * longest:
                problem = f"not {self._encoding.upper()} at byte {error.start + 1}"
                raise self.error(f"{problem}: name its encoding with --encoding, such as cp1252") from None
            line = ""
        if len(raw) > longest and (not line or len(without_newline(line)) > longest):
            raise self.error(f"longer than {longest} characters: {advice}")
        return line

    def _raw_line(self, most: int) -> RawLine:
        """Reads a line, of which `most` bytes are kept."""
        raw = self._file.readline(most)
        return RawLine(raw, len(raw) + (self._rest_of(raw) if len(raw) == most else 0))

    def _rest_of(self, raw: bytes) -> int:
        """Skips the rest of a line of which only the beginning was read; returns the number of its bytes."""
        skipped = 0
        while raw and not raw.endswith(b"\n"):
            raw = self._file.readline(SKIPPED_BYTES)
            skipped += len(raw)
        return skipped

    def keep_first(self) -> None:
        """Leaves only the first line in the row; those after it are read again."""
        self.again.extendleft(reversed(self.row[1:]))
        lines, end, _ = self.position
        size = sum(line.size for line in self.row[1:])
        self.position = Position(lines - len(self.row) + 1, end - size, len(self.again))
        del self.row[1:]

    def seek(self, position: Position) -> None:
        """Continues at a position of a file that can seek."""
        self._file.seek(position.bytes)
        self.again = deque(self._raw_line(4 * LONGEST_LINE + 3) for _ in range(position.again))
        self.position = position

    def error(self, reason: str, line: int | None = None) -> BadRow:
        """Returns an error that names the file and a line, by default the last one."""
        return BadRow(self.name, line or self.position.lines, reason)


def without_newline(line: str) -> str:
    """Removes the newline at the end of a line."""
    return line.removesuffix("\n").removesuffix("\r")


class Content(Protocol):
    """The content of a file, as it is read: `Lines`, or the rows of a Parquet file."""

    name: str
    position: Position
    row: list[RawLine]

    def seek(self, position: Position) -> None:
        """Continues at a position."""

    def error(self, reason: str, line: int | None = None) -> BadRow:
        """Returns an error that names the file and a line, by default the last one."""


def text_row(
    lines: Content, number: int, text: str, options: InputOptions, longest: int, cells: Sequence[str] = ()
) -> Row:
    """Returns the row of a text, or of its tokens. Raises BadRow if it has more than `longest` characters."""
    if len(text) > longest:
        raise lines.error(f"the text is longer than {longest} characters: {CUT}", number)
    return Row(number, "", text.split(), cells) if options.tokenized else Row(number, text, None, cells)


def name_taken(which: str, name: str) -> UnreadableInput:
    """Returns the error that an input has a name which the result has, too."""
    advice = "name those of the result otherwise, with --prefix predicted_ for instance"
    return UnreadableInput(f"{which} {name!r}, as the result has: {advice}")

"""The rows of an input: texts with their line numbers, and what is kept of the input beside them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
    """

    task: str = "tag"
    format: InputFormat | None = None
    text_column: str | None = None
    tokenized: bool = False
    taken_columns: frozenset[str] = frozenset()
    taken_members: frozenset[str] = frozenset()
    strict: bool = True
    typed: bool = False


class Position(NamedTuple):
    """A position in a file: whole lines, and their bytes; of a compressed file, its content's."""

    lines: int = 0
    bytes: int = 0


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
    """A bad row that is left out: the number of its line, why, and its content or the beginning of it."""

    line: int
    reason: str
    content: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, and the bad ones among them.

    `start` and `end` are the positions before and after them. `columns` are those of a table, `schema` their types for
    typed outputs.
    """

    rows: list[Row]
    start: Position
    end: Position
    columns: Sequence[str] = ()
    rejected: Sequence[Rejected] = ()
    schema: Any = None


class Lines(Iterator[str]):
    """The lines of a file in UTF-8, with their newlines.

    Attributes:
        position: after the last line that was returned.
        row: the lines that were read since it was emptied, each without what is beyond the longest.
    """

    def __init__(self, file: BufferedIOBase, name: str) -> None:
        self.position = Position()
        self.row: list[bytes] = []
        self.name = name
        self._file = file

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        return self.read(LONGEST_LINE)

    def read(self, longest: int, advice: str = "cut it") -> str:
        """Returns the next line. Raises StopIteration; BadRow if it is not UTF-8, or too long.

        `longest` is in characters, without the newline.
        """
        most = 4 * longest + 3  # a code point has at most 4 bytes
        raw = self._file.readline(most)
        if not raw:
            raise StopIteration
        self.row.append(raw)
        lines, end = self.position
        rest = self._rest_of(raw) if len(raw) == most else 0
        self.position = Position(lines + 1, end + len(raw) + rest)
        try:
            line = raw.decode("utf-8" if lines else "utf-8-sig")
        except UnicodeDecodeError as error:
            if len(raw) <= 4 * longest:
                raise self.error(f"not UTF-8 at byte {error.start + 1}: convert it, with iconv for instance") from None
            line = ""
        if len(raw) > longest and (not line or len(without_newline(line)) > longest):
            raise self.error(f"longer than {longest} characters: {advice}")
        return line

    def _rest_of(self, raw: bytes) -> int:
        """Skips the rest of a line of which only the beginning was read; returns the number of its bytes."""
        skipped = 0
        while raw and not raw.endswith(b"\n"):
            raw = self._file.readline(SKIPPED_BYTES)
            skipped += len(raw)
        return skipped

    def seek(self, position: Position) -> None:
        """Continues at a position of a file that can seek."""
        self._file.seek(position.bytes)
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
    row: list[bytes]

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

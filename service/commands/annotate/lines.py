"""The lines of a file, decoded one by one, with the position from which reading can continue."""

from codecs import BOM_UTF8
from collections import deque
from io import BufferedIOBase
from typing import NamedTuple

from service.commands.annotate.job import LONGEST_LINE, Job
from service.commands.annotate.rows import CUT, BadRow, Position, Row

SKIPPED_BYTES = 2**20  # at a time


class RawLine(NamedTuple):
    """A line as it was read, without what is beyond the longest, and its size in bytes."""

    content: bytes
    size: int


class Lines:
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

    def read(self, longest: int = LONGEST_LINE, advice: str = "cut it") -> str:
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
            text = line.content.removeprefix(b"" if lines else BOM_UTF8).decode(self._encoding)
        except UnicodeDecodeError as error:
            if len(line.content) <= 4 * longest:
                problem = f"not {self._encoding.upper()} at byte {error.start + 1}"
                raise self.error(f"{problem}: name its encoding with --encoding, such as cp1252") from None
        if text is None or len(without_newline(text)) > longest:
            raise self.error(f"longer than {longest} characters: {advice}")
        return text

    def _next(self, most: int) -> RawLine:
        """Reads a line, of which `most` bytes are kept."""
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
        return BadRow(self.name, line or self.position.lines, reason)

    def text_row(self, line: int, text: str, job: Job) -> Row:
        """Returns the row of a text, or of its tokens. Raises BadRow if it is too long."""
        if len(text) > job.longest_text:
            raise self.error(f"the text is longer than {job.longest_text} characters: {CUT}", line)
        return Row(line, "", text.split()) if job.tokenized else Row(line, text)


def without_newline(line: str) -> str:
    """Removes the newline at the end of a line."""
    return line.removesuffix("\n").removesuffix("\r")

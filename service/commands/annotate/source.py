"""Reads the lines of a file in chunks, starting at any position."""

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from service.errors import TagwerkError

STDIN = Path("-")
CHUNK_CHARACTERS = 16_384  # some thousand tokens: enough for full batches, few enough to have many in progress
CHUNK_LINES = 256


class UnreadableInput(TagwerkError):  # noqa: N818 (says what happened)
    """A file cannot be annotated."""


class Position(NamedTuple):
    """A position in a file: whole lines, and their bytes."""

    lines: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines without newlines; `start` and `end` are the positions before and after them."""

    lines: list[str]
    start: Position
    end: Position


class Source:
    """A file of lines in UTF-8, or standard input.

    Attributes:
        size: in bytes; None unless it is a regular file.
    """

    def __init__(self, path: Path) -> None:
        """Raises UnreadableInput."""
        self.path = path
        self.size: int | None = None
        self._state: list[int] | None = None  # of the file when its digest was computed
        if path == STDIN:
            return
        try:
            facts = path.stat()
            if not stat.S_ISFIFO(facts.st_mode):  # opening and closing a pipe would disconnect its writer
                with path.open("rb"):
                    pass
        except OSError as error:
            raise UnreadableInput(f"{path} cannot be read: {error.strerror}") from None
        if stat.S_ISREG(facts.st_mode):
            self.size = facts.st_size

    def __str__(self) -> str:
        return "standard input" if self.path == STDIN else str(self.path)

    def digest(self) -> str | None:
        """Returns the SHA-256 of the content; None unless it is a regular file. Raises UnreadableInput."""
        if self.size is None:
            return None
        with self._errors(), self.path.open("rb") as file:
            self._state = _state(file)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def chunks(self, start: Position, longest: int) -> Iterator[Chunk]:
        """Yields chunks of lines from a position on.

        Raises UnreadableInput for a line that is not UTF-8, or longer than `longest` characters, and if the file has
        changed since its digest was computed.
        """
        if self.path == STDIN:
            with self._errors():
                yield from self._chunks(sys.stdin.buffer, start, longest)
            return
        with self._errors(), self.path.open("rb") as file:
            self._check_unchanged(file)
            if start.bytes:
                file.seek(start.bytes)
            yield from self._chunks(file, start, longest)
            self._check_unchanged(file)

    def _check_unchanged(self, file: BinaryIO) -> None:
        if self._state not in (None, _state(file)):
            raise UnreadableInput(f"{self} has changed while it was read: annotate it once nothing writes it any more")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnreadableInput(f"{self} cannot be read: {error.strerror}") from None

    def _chunks(self, file: BinaryIO, start: Position, longest: int) -> Iterator[Chunk]:
        lines: list[str] = []
        characters, end = 0, start
        while raw := file.readline(4 * longest + 3):  # a code point has at most 4 bytes
            end = Position(end.lines + 1, end.bytes + len(raw))
            line = self._line(raw, end.lines, longest)
            lines.append(line)
            characters += len(line)
            if characters >= CHUNK_CHARACTERS or len(lines) == CHUNK_LINES:
                yield Chunk(lines, start, end)
                lines, characters, start = [], 0, end
        if lines:
            yield Chunk(lines, start, end)

    def _line(self, raw: bytes, number: int, longest: int) -> str:
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            if len(raw) <= 4 * longest:
                at = f"{self}, line {number}, byte {error.start + 1}"
                raise UnreadableInput(f"{at}: not UTF-8: convert it, with iconv for instance") from None
            line = " " * (longest + 1)
        if len(line) > longest:
            raise UnreadableInput(
                f"{self}, line {number}: longer than {longest} characters: cut it, or set TAGWERK_MAX_TEXT_CHARACTERS"
            )
        return line


def _state(file: BinaryIO) -> list[int]:
    """Returns metadata that changes when a file is replaced or written."""
    facts = os.fstat(file.fileno())
    return [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns]

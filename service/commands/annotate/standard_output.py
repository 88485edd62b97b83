"""Standard output as an output of annotations; it cannot be resumed."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from service.commands.annotate.records import UnusableOutput
from service.commands.annotate.rows import Position, Rejected

STDOUT = Path("-")


class StandardOutput:
    """Standard output with the interface of `Output`; it cannot be resumed."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` prints a line for each bad row."""
        self.position = Position()
        self.rows = 0
        self.rejected = 0
        self.rejected_lines = 0
        self._say = say

    where_rejected = ""

    def __str__(self) -> str:
        return "standard output"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return

    def write(self, content: bytes, position: Position, rows: int = 0, rejected: Sequence[Rejected] = ()) -> None:
        """Writes annotations. Raises BrokenPipeError if nothing reads it any more, and UnusableOutput."""
        for row in rejected:
            self._say(f"line {row.line}: {row.reason}")
        self.position = position
        self.rejected += len(rejected)
        self.rejected_lines += sum(row.lines for row in rejected)
        self.rows += rows
        try:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            silence_standard_output()
            raise UnusableOutput(f"standard output cannot be written: {error.strerror}") from None

    def checkpoint(self) -> None:
        """Does nothing."""

    def finish(self, source: str = "") -> None:
        """Does nothing."""


def silence_standard_output() -> None:
    """Redirects the interpreter's final flush, once standard output cannot be written."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""Where annotations go: a file that is whole, or a part of one and a record of what is in it.

What is written goes into `<output>.partial`; `<output>.progress` says how many bytes of it are good, and to which place
of the input they lead. Whatever ends the process, the next one cuts the rest off and goes on from there: no line is
lost and none is there twice. At the end the file is renamed.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from service.annotate.source import Position
from service.errors import TagwerkError

STDOUT = Path("-")


class UnusableOutput(TagwerkError):  # noqa: N818 (says what happened)
    """The output cannot be written, or an earlier run has begun it with something else."""


class Output:
    """A file that is being written. A context manager: at the end of its block what is there is kept to go on from."""

    def __init__(self, path: Path, facts: dict[str, Any] | None) -> None:
        """`facts` say what is annotated and how: a run goes on where they are the same; None always starts anew."""
        self.path = path
        self._facts = facts
        self._partial = path.with_name(path.name + ".partial")
        self._progress = path.with_name(path.name + ".progress")
        self._file: BinaryIO
        self.position = Position()

    def __enter__(self) -> "Output":
        """Opens it, at what an earlier run has written. Raises UnusableOutput."""
        try:
            written = self._read_progress()
            self._file = self._partial.open("r+b" if written else "wb")
            self._file.truncate(written)
            self._file.seek(written)
        except OSError as error:
            raise UnusableOutput(f"{self._partial} cannot be written: {error.strerror}") from None
        return self

    def __exit__(self, *exc: object) -> None:
        with self._file:
            if self._partial.exists():
                self.keep()

    def write(self, content: bytes, position: Position) -> None:
        """Writes what the input up to a position gives."""
        self._file.write(content)
        self.position = position

    def keep(self) -> None:
        """Makes sure that what is written is there for the next run, if this one ends now."""
        if self._facts is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        scratch = self._progress.with_name(self._progress.name + ".new")
        record = {"facts": self._facts, "input": self.position, "output_bytes": self._file.tell()}
        scratch.write_text(json.dumps(record))
        scratch.replace(self._progress)

    def finish(self) -> None:
        """Gives the file its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._partial.replace(self.path)
        self._progress.unlink(missing_ok=True)

    def _read_progress(self) -> int:
        """Takes the position of an earlier run, and returns how many bytes of what it wrote are good."""
        if self._facts is None or not self._partial.exists():
            return 0
        try:
            record = json.loads(self._progress.read_text())
            facts, position, written = record["facts"], Position(*record["input"]), record["output_bytes"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0
        if changed := [name for name, value in self._facts.items() if facts.get(name) != value]:
            raise UnusableOutput(
                f"{self._partial} was begun with another {', another '.join(changed)}: remove it to start anew"
            )
        if self._partial.stat().st_size < written:
            return 0
        self.position = position
        return int(written)


class StandardOutput:
    """The same for standard output, of which nothing can be taken back."""

    position = Position()

    def __enter__(self) -> "StandardOutput":
        return self

    def __exit__(self, *exc: object) -> None:
        return

    def write(self, content: bytes, position: Position) -> None:
        """Writes."""
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()

    def keep(self) -> None:
        """Does nothing."""

    def finish(self) -> None:
        """Does nothing."""


def silence_standard_output() -> None:
    """Lets the interpreter's last flush go nowhere, once nobody reads any more."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

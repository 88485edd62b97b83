"""Where annotations go: a file that is complete, or a part of one and a record of what is in it.

What is written goes into `<output>.partial`; `<output>.progress` says what is annotated and how, how many bytes of the
partial file are good, and to which place of the input they lead. Whatever ends the process, the next one cuts the rest
off and goes on from there: no line is lost and none is there twice. At the end the partial file is renamed.

A lock on the partial file, which ends with the process that holds it, keeps a second run from writing it, too.
"""

import fcntl
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, NonNegativeInt, ValidationError

from service.commands.annotate.source import Position
from service.errors import TagwerkError

STDOUT = Path("-")
FORMAT_VERSION = 2  # raise it when this record, or the bytes of any annotation, change


class UnusableOutput(TagwerkError):  # noqa: N818 (says what happened)
    """The output cannot be written, or an earlier run has begun it with something else."""


class Progress(BaseModel):
    """The contents of `<output>.progress`.

    Attributes:
        format_version: 1 in records that have none.
        facts: everything that decides the bytes of the output, by name.
        input: the position in the input that the output leads to.
        output_bytes: bytes of the partial file that belong to it.
    """

    format_version: int = 1
    facts: dict[str, object]
    input: tuple[NonNegativeInt, NonNegativeInt]
    output_bytes: NonNegativeInt


class Output:
    """A file that is being written. A context manager: what is there at the end of its block is kept to go on from.

    Attributes:
        position: the place in the input up to which annotations are written.
    """

    def __init__(self, path: Path, facts: Mapping[str, str] | None) -> None:
        """`facts` are all that decides the bytes: a run goes on where they are the same. None always starts anew."""
        self.path = path
        self.position = Position()
        self._facts = facts
        self._partial, self._progress, self._scratch = companions(path)
        self._file: FileIO
        self._good_bytes = 0  # of the partial file: those that belong to the position
        self._finished = False

    def __str__(self) -> str:
        return str(self.path)

    def __enter__(self) -> Self:
        """Opens the file where an earlier run has come to.

        Raises UnusableOutput: another run writes it, or began it with other facts; or it cannot be written.
        """
        with self._errors():
            self._file = self._partial.open("ab", buffering=0)
        try:
            with self._errors():
                self._lock()
                self._begin()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            # After a failed write or fsync nothing is certain but what was kept before.
            if not self._finished and not isinstance(error, UnusableOutput):
                with suppress(UnusableOutput):
                    self.keep()

    def write(self, content: bytes, position: Position) -> None:
        """Writes what the input up to a position gives. Raises UnusableOutput."""
        with self._errors():
            _write(self._file, content)
        self._good_bytes += len(content)
        self.position = position

    def keep(self) -> None:
        """Makes what is written durable, for the next run if this one ends now. Raises UnusableOutput."""
        if self._facts is None:
            return
        record = Progress(
            format_version=FORMAT_VERSION,
            facts=dict(self._facts),
            input=self.position,
            output_bytes=self._good_bytes,
        )
        with self._errors():
            os.fsync(self._file.fileno())
            with self._scratch.open("wb", buffering=0) as file:
                _write(file, record.model_dump_json().encode())
                os.fsync(file.fileno())
            self._scratch.replace(self._progress)

    def finish(self) -> None:
        """Makes all durable, and gives the file its name. Raises UnusableOutput."""
        with self._errors():
            os.fsync(self._file.fileno())
            if self.path.exists():
                raise UnusableOutput(f"{self.path} has appeared meanwhile: the annotations are in {self._partial}")
            self._partial.replace(self.path)
            self._finished = True
            remove_leftovers(self.path)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnusableOutput(f"{self._partial} cannot be written: {error.strerror}") from None

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reason = "another run is writing it: wait until that ends, or choose another output"
            raise UnusableOutput(f"{self._partial} cannot be written: {reason}") from None
        mine = os.fstat(self._file.fileno())
        is_in_place = self._partial.exists() and os.path.samestat(self._partial.stat(), mine)
        if self.path.exists() or not is_in_place:  # the run that held the lock has just renamed it
            if is_in_place and not mine.st_size:
                self._partial.unlink()
            raise UnusableOutput(f"{self.path} has just been finished by another run")

    def _begin(self) -> None:
        """Goes on from the record of an earlier run, or starts anew where there is none that can be read."""
        record = self._read_record()
        if record is None:
            self._progress.unlink(missing_ok=True)  # first: what is written from now on does not belong to it
        else:
            self._check(record)
            self.position, self._good_bytes = Position(*record.input), record.output_bytes
        os.ftruncate(self._file.fileno(), self._good_bytes)

    def _read_record(self) -> Progress | None:
        if self._facts is None:
            return None
        try:
            record = Progress.model_validate_json(self._progress.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        # A record of nothing loses nothing, and one of more than there is belongs to a partial file that was removed.
        return record if 0 < record.output_bytes <= os.fstat(self._file.fileno()).st_size else None

    def _check(self, record: Progress) -> None:
        """Raises UnusableOutput where a record is of a run that would have written something else."""
        facts = self._facts or {}
        if record.format_version != FORMAT_VERSION:
            changed = ["another version of tagwerk"]
        else:
            names = dict.fromkeys((*record.facts, *facts))
            differences = [(name, record.facts.get(name), facts.get(name)) for name in names]
            changed = [f"{name} {before}, not {now}" for name, before, now in differences if before != now]
        if changed:
            raise UnusableOutput(
                f"{self._partial} was begun with {'; '.join(changed)}: "
                "go on as it was begun, or remove it to start anew"
            )


def _write(file: FileIO, content: bytes) -> None:
    """Writes all of it; a single system call may write less."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file.fileno(), rest) :]


def companions(path: Path) -> tuple[Path, Path, Path]:
    """Returns the files beside an output: what is written so far, its record, and the next record being written."""
    partial, progress, scratch = (path.with_name(path.name + end) for end in (".partial", ".progress", ".progress.new"))
    return partial, progress, scratch


def remove_leftovers(path: Path) -> None:
    """Removes the record of an output that is complete: a run that is killed after the renaming leaves it."""
    partial, progress, scratch = companions(path)
    if not partial.exists():
        for file in (progress, scratch):
            file.unlink(missing_ok=True)


class StandardOutput:
    """The same for standard output, of which nothing can be taken back."""

    position = Position()

    def __str__(self) -> str:
        return "standard output"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return

    def write(self, content: bytes, position: Position) -> None:
        """Writes. Raises BrokenPipeError where nothing reads any more, and UnusableOutput."""
        try:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            silence_standard_output()
            raise UnusableOutput(f"standard output cannot be written: {error.strerror}") from None

    def keep(self) -> None:
        """Does nothing."""

    def finish(self) -> None:
        """Does nothing."""


def silence_standard_output() -> None:
    """Sends the interpreter's last flush nowhere, once standard output cannot be written."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

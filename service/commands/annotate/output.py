"""Output files that can be resumed: a partial file, and a record of its content.

Annotations are written to `<output>.partial`; `<output>.progress` records how they were made, how many bytes of the
partial file are valid, and the position in the input after them. However a run ends, the next one truncates the partial
file to that size and continues: no line is lost or repeated. At the end `<output>.manifest.json` is
written, and the partial file is renamed.

Bad rows are written to `<output>.rejected.jsonl`, which is resumed in the same way; without any there is no such file.

A lock on the partial file, released when its process ends, keeps a second run from writing it too.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ValidationError

from service.commands.annotate.records import (
    FINISHED,
    FORMAT_VERSION,
    Manifest,
    Progress,
    UnusableOutput,
    companions,
    differences,
)
from service.commands.annotate.remote import printable, upload, url_of
from service.commands.annotate.rows import Position, Rejected
from service.files import lock_file
from service.formats.pieces import to_json


class Output:
    """An output file being written. As a context manager, checkpoints at the end of its block.

    A run that ends before anything is written leaves no file.

    Attributes:
        position: the position in the input up to which annotations are written.
        rows, rejected: rows up to there that were annotated, and bad ones.
        rejected_lines: lines of the bad ones.
    """

    def __init__(
        self, path: Path, facts: Mapping[str, str] | None, finisher: Callable[[Path, Path], None] | None = None
    ) -> None:
        """`facts` determine the bytes of the output: a run resumes if they are equal. None never resumes.

        `finisher` makes the output of the complete partial file; without one it is that file.
        """
        self.path = path
        self.position = Position()
        self.rows = 0
        self.rejected = 0
        self.rejected_lines = 0
        self._facts = facts
        self._finisher = finisher
        self._partial, self._progress, self._scratch, self._rejected, self._manifest = companions(path)
        self._file: FileIO
        self._good_bytes = 0  # valid bytes of the partial file
        self._rejected_bytes = 0
        self._finished = False

    def __str__(self) -> str:
        return str(self.path)

    def __enter__(self) -> Self:
        """Opens the partial file at the position of an earlier run.

        Raises UnusableOutput if another run writes it or began it with other facts, or if it cannot be written.
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
            # After a failed write or fsync, only the last checkpoint is certain.
            if self._finished:
                return
            if not self._good_bytes and not self._rejected_bytes:
                with suppress(OSError):
                    self._remove()
            elif not isinstance(error, UnusableOutput):
                with suppress(UnusableOutput):
                    self.checkpoint()

    @property
    def where_rejected(self) -> str:
        """The end of a message, with the file of the bad rows; empty if there are none."""
        return f", see {self._rejected}" if self.rejected else ""

    def write(self, content: bytes, position: Position, rows: int = 0, rejected: Sequence[Rejected] = ()) -> None:
        """Writes the annotations of some rows up to a position, and the bad ones. Raises UnusableOutput."""
        with self._errors():
            _write(self._file, content)
            if rejected:
                lines = b"".join(to_json(row._asdict()) + b"\n" for row in rejected)
                with self._rejected.open("ab", buffering=0) as file:
                    _write(file, lines)
                    os.fsync(file.fileno())
                self._rejected_bytes += len(lines)
        self._good_bytes += len(content)
        self.position = position
        self.rows += rows
        self.rejected += len(rejected)
        self.rejected_lines += sum(row.lines for row in rejected)

    def checkpoint(self) -> None:
        """Writes a durable checkpoint, from which a later run resumes. Raises UnusableOutput."""
        if self._facts is None:
            return
        record = Progress(
            format_version=FORMAT_VERSION,
            facts=dict(self._facts),
            input=self.position,
            output_bytes=self._good_bytes,
            rejected_bytes=self._rejected_bytes,
            rows=self.rows,
            rejected=self.rejected,
            rejected_lines=self.rejected_lines,
        )
        with self._errors():
            os.fsync(self._file.fileno())
            self._put(record, self._progress)

    def finish(self, source: str = "") -> None:
        """Makes all output durable, writes the manifest, and renames the file. Raises UnusableOutput.

        `source` is the input's path.
        """
        with self._errors():
            os.fsync(self._file.fileno())
            if self.path.exists():
                raise UnusableOutput(f"{self.path} has appeared meanwhile: the annotations are in {self._partial}")
            whole = self._partial
            if self._finisher is not None:
                whole = self._partial.with_name(self._partial.name + FINISHED)
                self._finisher(self._partial, whole)
                with whole.open("rb") as file:
                    os.fsync(file.fileno())
            if self._facts is not None:
                self._put(self._made(whole, source), self._manifest)
            if whole != self._partial:
                self._partial.unlink()
            whole.replace(self.path)
            self._finished = True
            remove_leftovers(self.path)

    def _made(self, whole: Path, source: str) -> Manifest:
        with whole.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Manifest(
            output=printable(self.path.name),
            output_bytes=whole.stat().st_size,
            output_sha256=digest,
            rows=self.rows,
            rejected=self.rejected,
            lines=self.position.lines,
            rejected_lines=self.rejected_lines,
            input=source,
            facts=dict(self._facts or {}),
        )

    def _put(self, record: BaseModel, path: Path) -> None:
        """Writes a record atomically."""
        with self._scratch.open("wb", buffering=0) as file:
            _write(file, record.model_dump_json(indent=2).encode() + b"\n")
            os.fsync(file.fileno())
        self._scratch.replace(path)

    def _remove(self) -> None:
        """Removes the empty partial file and its record."""
        self._progress.unlink(missing_ok=True)
        self._scratch.unlink(missing_ok=True)
        self._partial.unlink(missing_ok=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnusableOutput(f"{self._partial} cannot be written: {error.strerror}") from None

    def _lock(self) -> None:
        if not lock_file(self._file.fileno()):
            reason = "another run is writing it: wait until that ends, or choose another output"
            raise UnusableOutput(f"{self._partial} cannot be written: {reason}")
        mine = os.fstat(self._file.fileno())
        is_in_place = self._partial.exists() and os.path.samestat(self._partial.stat(), mine)
        if self.path.exists() or not is_in_place:  # renamed by the run that held the lock
            if is_in_place and not mine.st_size:
                self._partial.unlink()
            raise UnusableOutput(f"{self.path} has just been finished by another run")

    def _begin(self) -> None:
        """Resumes from an earlier run's record, or starts from the beginning if there is no valid one."""
        record = self._read_record()
        if record is None:
            self._progress.unlink(missing_ok=True)  # first: it does not describe what is written from now on
        else:
            check_begun(self._partial, record, self._facts or {})
            self.position, self._good_bytes = Position(*record.input), record.output_bytes
            self.rows, self.rejected, self._rejected_bytes = record.rows, record.rejected, record.rejected_bytes
            self.rejected_lines = record.rejected_lines
        os.ftruncate(self._file.fileno(), self._good_bytes)
        if self._rejected_bytes:
            os.truncate(self._rejected, self._rejected_bytes)
        else:
            self._rejected.unlink(missing_ok=True)

    def _read_record(self) -> Progress | None:
        if self._facts is None:
            return None
        try:
            record = Progress.model_validate_json(self._progress.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        # An empty record loses nothing; one of more bytes than there are belongs to a partial file that was removed.
        rejected_bytes = self._rejected.stat().st_size if self._rejected.exists() else 0
        is_whole = record.output_bytes <= os.fstat(self._file.fileno()).st_size and (
            record.rejected_bytes <= rejected_bytes
        )
        return record if is_whole and record.output_bytes + record.rejected_bytes else None


def _write(file: FileIO, content: bytes) -> None:
    """Writes all bytes, in several system calls if needed."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file.fileno(), rest) :]


def check_begun(partial: Path, record: Progress, facts: Mapping[str, str]) -> None:
    """Raises UnusableOutput if the run that began a partial file had other facts than `facts`."""
    if record.format_version != FORMAT_VERSION:
        changed = ["another version of tagwerk"]
    else:
        changed = differences(record.facts, facts)
    if changed:
        advice = "go on as it was begun, or remove it to start anew"
        raise UnusableOutput(f"{partial} was begun with {'; '.join(changed)}: {advice}")


def check_usable(path: Path, facts: Mapping[str, str] | None) -> None:
    """Raises UnusableOutput if a run with `facts` could not make an output, as far as is seen without writing."""
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UnusableOutput(f"{folder} is no folder in which this user may write")
    partial, progress, *_ = companions(path)
    if facts is not None and partial.exists() and progress.exists():
        with suppress(ValidationError):
            check_begun(partial, Progress.model_validate_json(progress.read_bytes()), facts)


def is_complete(path: Path) -> bool:
    """Returns whether an output exists, and removes what a run that was killed may have left beside it."""
    if not path.exists():
        return False
    remove_leftovers(path)
    return True


def remove_leftovers(path: Path) -> None:
    """Removes the record of a complete output, left by a run that was killed after renaming it."""
    partial, progress, scratch, *_ = companions(path)
    if not partial.exists():
        for file in (progress, scratch):
            file.unlink(missing_ok=True)


def upload_output(made: Path, target: Path) -> None:
    """Copies a complete output and what is beside it to where it belongs, the output last; removes them here.

    Raises UnusableOutput.
    """
    *_, rejected, manifest = companions(made)
    *_, rejected_there, manifest_there = companions(target)
    try:
        for file, there in ((rejected, rejected_there), (manifest, manifest_there), (made, target)):
            if file.exists():
                upload(file, there)
    except Exception as error:  # the libraries below have errors of their own
        raise UnusableOutput(f"{url_of(target)} cannot be written: {error}; the output is in {made}") from None
    for file in (made, manifest, rejected):
        file.unlink(missing_ok=True)

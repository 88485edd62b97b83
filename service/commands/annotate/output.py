"""Output files that can be resumed, and standard output, which cannot.

Annotations are written to `<output>.partial`; `<output>.manifest.json` says how they are made, how many bytes of the
partial file are valid, and the position in the input after them. However a run ends, the next one truncates the partial
file to that size and continues: no line is lost or repeated. At the end the manifest is completed, and the partial file
is renamed.

Bad rows are written to `<output>.rejected.jsonl`, which is resumed in the same way; without any there is no such file
at the end.

A lock on the partial file, released when its process ends, keeps a second run from writing it too. An output for
another machine is made in a working copy, and copied there at the end.
"""

import hashlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Self

import msgspec

from service.commands.annotate.records import RunManifest, UnusableOutput, companions, differences, read_run_manifest
from service.commands.annotate.remote import is_remote, printable, upload, url_of, working_copy
from service.commands.annotate.rows import Chunk
from service.files import lock_file, silence_standard_output
from service.pipelines.formats import to_json

CHECKPOINT_SECONDS = 1.0  # between checkpoints: the work that an interrupt may cost


class Output:
    """An output file being written. As a context manager, checkpoints at the end of its block.

    A run that ends before anything is written leaves no file.

    Attributes:
        manifest: what is made, and how far.
    """

    def __init__(self, path: Path, manifest: RunManifest, finisher: Callable[[Path, Path], None] | None = None) -> None:
        """`manifest` describes a run that begins; `finisher` makes the output of the complete partial file."""
        self.manifest = manifest
        self._path = path
        self._place = working_copy(path)
        self._finisher = finisher
        self._partial, self._rejected, self._manifest, self._made, self._scratch = companions(self._place)
        self._files: list[FileIO] = []  # the partial file, and the file of bad rows
        self._closing = ExitStack()
        self._kept = -math.inf  # the moment of the last checkpoint
        self._finished = False

    def __enter__(self) -> Self:
        """Opens the partial file at the position of an earlier run.

        Raises UnusableOutput if another run writes it or began it with other facts, or if it cannot be written.
        """
        with self._errors(), ExitStack() as stack:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            self._files = [stack.enter_context(self._partial.open("ab", buffering=0))]
            self._lock()
            self._resume()
            self._files.append(stack.enter_context(self._rejected.open("ab", buffering=0)))
            for file, size in zip(self._files, self._sizes(), strict=True):
                os.ftruncate(file.fileno(), size)
            self._closing = stack.pop_all()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._closing:
            if self._finished:
                return
            if not any(self._sizes()):
                with suppress(OSError):
                    self._remove(self._manifest, self._scratch, self._partial, self._rejected)
            elif not isinstance(error, UnusableOutput):  # after a failed write, only the last checkpoint is certain
                with suppress(UnusableOutput):
                    self._checkpoint()

    def write(self, content: bytes, chunk: Chunk) -> None:
        """Writes the annotations of a chunk, and its bad rows. Raises UnusableOutput."""
        rejected = b"".join(to_json(row._asdict()) + b"\n" for row in chunk.rejected)
        with self._errors():
            for file, some in zip(self._files, (content, rejected), strict=True):
                _write(file, some)
        self.manifest.add(chunk)
        self.manifest.partial_bytes += len(content)
        self.manifest.rejected_bytes += len(rejected)
        if time.monotonic() - self._kept > CHECKPOINT_SECONDS:
            self._checkpoint()
            self._kept = time.monotonic()

    def finish(self) -> None:
        """Completes the manifest, and renames or copies the output. Raises UnusableOutput."""
        manifest, whole = self.manifest, self._partial
        with self._errors():
            if self._path.exists():
                raise UnusableOutput(f"{self._path} has appeared meanwhile: the annotations are in {self._partial}")
            if self._finisher is not None:
                whole = self._made
                self._finisher(self._partial, whole)
            with whole.open("rb") as file:
                os.fsync(file.fileno())
                manifest.output_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            manifest.output, manifest.output_bytes = printable(self._path.name), whole.stat().st_size
            self._checkpoint()
            if not manifest.rejected_bytes:
                self._rejected.unlink()
            if is_remote(self._path):
                self._upload(whole)
            else:
                if whole != self._partial:
                    self._partial.unlink()
                whole.replace(self._path)
            self._finished = True

    def _upload(self, whole: Path) -> None:
        """Copies the output and what is beside it to where it belongs, the output last; removes them here."""
        _, rejected, manifest, *_ = companions(self._path)
        try:
            for file, there in ((self._rejected, rejected), (self._manifest, manifest), (whole, self._path)):
                if file.exists():
                    upload(file, there)
        except Exception as error:  # the libraries below have errors of their own
            problem = f"{url_of(self._path)} cannot be written: {error}"
            raise UnusableOutput(f"{problem}; the same command copies what is in {self._partial}") from None
        self._remove(*companions(self._place))

    def _checkpoint(self) -> None:
        """Writes a durable checkpoint, from which a later run resumes. Raises UnusableOutput."""
        if not self.manifest.facts:
            return
        with self._errors():
            for file in self._files:
                os.fsync(file.fileno())
            with self._scratch.open("wb", buffering=0) as scratch:
                _write(scratch, msgspec.json.format(to_json(self.manifest)) + b"\n")
                os.fsync(scratch.fileno())
            self._scratch.replace(self._manifest)

    def _sizes(self) -> tuple[int, int]:
        """Returns the valid bytes of the partial file, and of the file of bad rows."""
        return self.manifest.partial_bytes, self.manifest.rejected_bytes

    def _remove(self, *files: Path) -> None:
        for file in files:
            file.unlink(missing_ok=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnusableOutput(f"{self._partial} cannot be written: {error.strerror}") from None

    def _lock(self) -> None:
        """Locks the partial file. Raises UnusableOutput if another run has it, or has just renamed it."""
        (file,) = self._files
        if not lock_file(file.fileno()):
            reason = "another run is writing it: wait until that ends, or choose another output"
            raise UnusableOutput(f"{self._partial} cannot be written: {reason}")
        mine = os.fstat(file.fileno())
        is_in_place = self._partial.exists() and os.path.samestat(self._partial.stat(), mine)
        if self._path.exists() or not is_in_place:
            if is_in_place and not mine.st_size:
                self._partial.unlink()
            raise UnusableOutput(f"{self._path} has just been finished by another run")

    def _resume(self) -> None:
        """Takes an earlier run's manifest, if the files have what it says. Raises UnusableOutput for other facts."""
        begun = read_run_manifest(self._place) if self.manifest.facts else None
        sizes = [file.stat().st_size if file.exists() else 0 for file in (self._partial, self._rejected)]
        if (
            begun is None
            or begun.partial_bytes + begun.rejected_bytes == 0  # nothing is lost
            or begun.partial_bytes > sizes[0]  # it is of a partial file that was removed
            or begun.rejected_bytes > sizes[1]
        ):
            self._manifest.unlink(missing_ok=True)  # it does not describe what is written from now on
        elif changed := differences(begun.facts, self.manifest.facts):
            advice = "go on as it was begun, or remove it to start anew"
            raise UnusableOutput(f"{self._partial} was begun with {changed}: {advice}")
        else:
            self.manifest = msgspec.structs.replace(begun, input=self.manifest.input)


class StandardOutput:
    """Standard output with the interface of `Output`; it cannot be resumed."""

    def __init__(self, manifest: RunManifest, say: Callable[[str], None]) -> None:
        """`say` prints a line for each bad row."""
        self.manifest = manifest
        self._say = say

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return

    def write(self, content: bytes, chunk: Chunk) -> None:
        """Writes annotations. Raises BrokenPipeError if nothing reads it any more, and UnusableOutput."""
        for row in chunk.rejected:
            self._say(f"line {row.line}: {row.reason}")
        self.manifest.add(chunk)
        try:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            silence_standard_output()
            raise UnusableOutput(f"standard output cannot be written: {error.strerror}") from None

    def finish(self) -> None:
        """Does nothing."""


def _write(file: FileIO, content: bytes) -> None:
    """Writes all bytes, in several system calls if needed."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file.fileno(), rest) :]

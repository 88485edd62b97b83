"""Reads the rows of a file in chunks, starting at any position."""

import bz2
import gzip
import hashlib
import lzma
import os
import re
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from itertools import count
from pathlib import Path, PurePath
from typing import IO, Any, cast

from service.commands.annotate.job import STANDARD, InputFormat, Job
from service.commands.annotate.readers import format_of, import_parquet, make_reader
from service.commands.annotate.remote import download, is_remote, url_of
from service.commands.annotate.rows import BadRow, Chunk, Layout, Lines, Position, Rejected, Row, UnreadableInput
from service.errors import TagwerkError

CHUNK_CHARACTERS = 16_384  # some thousand tokens: enough for full batches, few enough to have many in progress
CHUNK_ROWS = 256
CHUNK_BYTES = 2**20  # of the input, which may have much besides the texts
REJECTED_BYTES = 10_000  # of a bad row's content that are kept
HEAD_BYTES = 16_384  # by which the format is detected
DECOMPRESSORS: dict[bytes, Callable[[Any], Any]] = {  # by a pattern of the beginning
    rb"\x1f\x8b": gzip.open,
    rb"BZh[1-9]1AY&SY": bz2.open,
    rb"\xfd7zXZ\0": lzma.open,
}
_BINARY = re.compile(
    rb"%PDF-|PK[\x03\x05]|\xd0\xcf\x11\xe0|\{\\rtf|ARROW1\0|Obj\x01|SQLite format 3\0"  # documents, zip, tables
    rb"|\x89PNG|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*|RIFF....WEBP"  # images
    rb"|\x28\xb5\x2f\xfd|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|.{257}ustar",  # zstd, and other archives
    re.DOTALL,
)
_UTF16 = re.compile(rb"\xff\xfe|\xfe\xff|(?:[\x20-\x7e]\0){4}|(?:\0[\x20-\x7e]){4}")
_CARRIAGE_RETURNS = re.compile(rb"[^\r\n]*\r[^\n]+\Z")


class Source:
    """A file of texts, or standard input.

    Attributes:
        name: of the file, below the folder that the argument names.
        can_reread: whether it is a regular file, as far as is known.
        size: of the content in bytes; None unless it is a regular file that is not compressed.
        format: None until it is known.
    """

    def __init__(self, path: Path, job: Job, name: PurePath | None = None) -> None:
        self.path = path
        self.name = name or PurePath(path.name)
        self.can_reread = path != STANDARD
        self.size: int | None = None
        self.format: InputFormat | None = None
        self._job = job
        self._state: list[int] | None = None  # of the file when its digest was computed
        self._place = path  # where it is read
        self._copy: IO[bytes] | None = None  # of a file elsewhere

    def __str__(self) -> str:
        return "standard input" if self.path == STANDARD else url_of(self.path)

    def digest(self) -> str | None:
        """Returns the SHA-256 of the file, and determines its format; None unless it is a regular file.

        Raises UnreadableInput, also for a table whose header is not right.
        """
        if self.path == STANDARD:
            return None
        with self._errors():
            facts = self._here().stat()
            self.can_reread = stat.S_ISREG(facts.st_mode)
            if not self.can_reread:
                return None
            self.size = facts.st_size
            with self._opened():
                pass
            with self._file() as file:
                self._state = self._state_of(file)
                return hashlib.file_digest(file, "sha256").hexdigest()

    def open(self) -> BufferedReader:
        """Opens the file, without decompressing it. Raises UnreadableInput."""
        with self._errors():
            return cast(BufferedReader, self._file())

    def chunks(self, start: Position, limit: int | None = None) -> Iterator[Chunk]:
        """Yields chunks of rows from a position on, `limit` rows at most; of a table at least one, which may be empty.

        A bad row is a line that is not in the encoding, a text that is too long, or a row that is invalid in the
        format. Raises UnreadableInput for a bad row if the job is strict, and if the file has changed since its digest
        was computed.
        """
        with self._errors(), self._opened() as (file, lines, read, layout):
            self._check_unchanged(file)
            if start != Position():
                lines.seek(start)
            rows: list[Row] = []
            rejected: list[Rejected] = []
            characters = 0
            is_first = start == Position() and (bool(layout.columns) or self._job.form == "parquet")
            for _ in count() if limit is None else range(limit):
                lines.row.clear()
                try:
                    rows.append(read())
                    characters += len(rows[-1].text) + sum(map(len, rows[-1].tokens or ()))
                except StopIteration:
                    break
                except BadRow as bad:
                    if self._job.strict:
                        raise
                    content = b"".join(line.content for line in lines.row)[:REJECTED_BYTES]
                    shown, size = content.decode(errors="backslashreplace"), max(1, len(lines.row))
                    rejected.append(Rejected(bad.line, bad.reason, shown, size))
                read_bytes = lines.position.bytes - start.bytes
                is_full = characters >= CHUNK_CHARACTERS or len(rows) + len(rejected) == CHUNK_ROWS
                if is_full or read_bytes >= CHUNK_BYTES:
                    yield Chunk(rows, start, lines.position, layout, rejected)
                    rows, rejected, characters, start, is_first = [], [], 0, lines.position, False
            if rows or rejected or is_first:
                yield Chunk(rows, start, lines.position, layout, rejected)
            self._check_unchanged(file)

    @contextmanager
    def _opened(self) -> Iterator[tuple[BufferedReader, Lines, Callable[[], Row], Layout]]:
        """Opens the input at the beginning of its content, after a table's header.

        Yields the file, its lines, what reads a row of them, and what an output takes over.
        """
        with ExitStack() as stack:
            file: Any = sys.stdin.buffer if self.path == STANDARD else stack.enter_context(self._file())
            head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
            for pattern, decompressed in DECOMPRESSORS.items():
                if re.match(pattern, head):
                    self.size = None
                    file = stack.enter_context(decompressed(file))
                    head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
                    break
            self.format = format_of(str(self.path), head, self._job)
            if self.format != "parquet":
                self._refuse_other_formats(head)
                lines = Lines(file, str(self), self._job.encoding)
                yield file, lines, *make_reader(self.format, lines, head, self._job)
                return
            if self.size is None:
                raise UnreadableInput(f"{self} is a Parquet file, whose end is read first: give it as a file")
            rows = import_parquet().ParquetRows(file, str(self), self.size, self._job)
            yield file, rows, rows.read_row, rows.layout

    def _refuse_other_formats(self, head: bytes) -> None:
        """Raises UnreadableInput if the beginning of a file is not that of a text in an encoding like ASCII."""
        problem = ""
        if _BINARY.match(head):
            advice = "extract its text, or convert it to CSV, JSON Lines or Parquet"
            problem = f"is a document, an image, an archive or a table in a binary format: {advice}"
        elif _UTF16.match(head):
            problem = "is in UTF-16 or UTF-32: convert it to UTF-8, with iconv -f UTF-16 -t UTF-8 for instance"
        elif _CARRIAGE_RETURNS.match(head):
            problem = "has carriage returns for line ends: convert them, with tr '\\r' '\\n' for instance"
        if problem:
            raise UnreadableInput(f"{self} {problem}")

    def _here(self) -> Path:
        """Returns the path of the file; of a file elsewhere, that of a copy without a name."""
        if is_remote(self.path) and self._copy is None:
            self._copy = tempfile.TemporaryFile()  # noqa: SIM115 (until `close`)
            self._place = download(self.path, self._copy)
        return self._place

    def close(self) -> None:
        """Removes the copy of a file elsewhere."""
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    def _file(self) -> Any:
        """Opens the file itself."""
        return self._here().open("rb", buffering=HEAD_BYTES)

    def _state_of(self, file: BufferedReader) -> list[int]:
        """Returns what changes when the file is replaced or written."""
        facts = os.fstat(file.fileno())
        return [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns]

    def _check_unchanged(self, file: BufferedReader) -> None:
        if self._state is not None and self._state != self._state_of(file):
            raise UnreadableInput(f"{self} has changed while it was read: annotate it once nothing writes it any more")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
            raise UnreadableInput(f"{self} cannot be decompressed: {error}") from None
        except OSError as error:
            raise UnreadableInput(f"{self} cannot be read: {error.strerror or error}") from None
        except Exception as error:  # file systems elsewhere have errors of their own
            if not is_remote(self.path) or isinstance(error, TagwerkError):
                raise
            raise UnreadableInput(f"{self} cannot be read: {error}") from None

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
from itertools import count
from pathlib import Path, PurePath
from typing import Any, Self

from service.commands.annotate.job import STANDARD, TEXT_COLUMN, InputFormat, Job
from service.commands.annotate.readers import READERS, format_of
from service.commands.annotate.remote import download, is_remote, url_of
from service.commands.annotate.rows import BadRow, Chunk, Position, Reader, Rejected, Row, UnreadableInput, import_extra
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
    """A file of texts, or standard input. A context manager, in whose block it is open.

    Attributes:
        name: of the file, below the folder that the argument names.
        can_reread: whether it is a regular file, as far as is known.
        size: of the content in bytes; None unless it is a regular file that is not compressed.
        format: of the content.
        reader: of the rows.
    """

    format: InputFormat
    reader: Reader

    def __init__(self, path: Path, job: Job, name: PurePath | None = None) -> None:
        self.path = path
        self.name = name or PurePath(path.name)
        self.can_reread = path != STANDARD
        self.size: int | None = None
        self._job = job
        self._file: Any = None
        self._closing = ExitStack()

    def __str__(self) -> str:
        return "standard input" if self.path == STANDARD else url_of(self.path)

    def __enter__(self) -> Self:
        """Opens the file, determines its format, and reads a table's header. Raises UnreadableInput."""
        with self._errors(), ExitStack() as stack:
            file = self._file = self._opened(stack)
            self._facts = os.fstat(file.fileno())
            self.can_reread = self.path != STANDARD and stat.S_ISREG(self._facts.st_mode)
            self.size = self._facts.st_size if self.can_reread else None
            head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
            for pattern, decompressed in DECOMPRESSORS.items():
                if re.match(pattern, head):
                    self.size = None
                    file = stack.enter_context(decompressed(file))
                    head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
                    break
            self.format = format_of(str(self.path), head, self._job)
            self.reader = self._reader(file, head)
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()

    def digest(self) -> str | None:
        """Returns the SHA-256 of the file; None unless it is a regular file. Raises UnreadableInput."""
        if not self.can_reread:
            return None
        with self._errors():
            place = self._file.tell()
            self._file.seek(0)
            digest = hashlib.file_digest(self._file, "sha256").hexdigest()
            self._file.seek(place)
            return digest

    def chunks(self, start: Position, limit: int | None = None) -> Iterator[Chunk]:
        """Yields chunks of rows from a position on, `limit` rows at most; of a table at least one, which may be empty.

        A bad row is a line that is not in the encoding, a text that is too long, or a row that is invalid in the
        format. Raises UnreadableInput for a bad row if the job is strict, and if the file has changed since it was
        opened.
        """
        reader, layout = self.reader, self.reader.layout
        with self._errors():
            self._check_unchanged()
            if start != Position():
                reader.seek(start)
            rows: list[Row] = []
            rejected: list[Rejected] = []
            characters = 0
            is_first = start == Position() and bool(layout.columns)
            for _ in count() if limit is None else range(limit):
                reader.row.clear()
                try:
                    rows.append(reader.read())
                    characters += len(rows[-1].text) + sum(map(len, rows[-1].tokens or ()))
                except StopIteration:
                    break
                except BadRow as bad:
                    if self._job.strict:
                        raise
                    content = b"".join(line.content for line in reader.row)[:REJECTED_BYTES]
                    shown, lines = content.decode(errors="backslashreplace"), max(1, len(reader.row))
                    rejected.append(Rejected(bad.line, bad.reason, shown, lines))
                is_full = (
                    characters >= CHUNK_CHARACTERS
                    or len(rows) + len(rejected) >= CHUNK_ROWS
                    or reader.position.bytes - start.bytes >= CHUNK_BYTES
                )
                if is_full:
                    yield Chunk(rows, start, reader.position, layout, rejected)
                    rows, rejected, characters, start, is_first = [], [], 0, reader.position, False
            if rows or rejected or is_first:
                yield Chunk(rows, start, reader.position, layout, rejected)
            self._check_unchanged()

    def _opened(self, stack: ExitStack) -> Any:
        """Opens the file itself; of a file elsewhere, a copy without a name."""
        if self.path == STANDARD:
            return sys.stdin.buffer
        if not is_remote(self.path):
            return stack.enter_context(self.path.open("rb", buffering=HEAD_BYTES))
        with tempfile.TemporaryFile() as copy:
            download(self.path, copy)
            return stack.enter_context(Path(f"/dev/fd/{copy.fileno()}").open("rb", buffering=HEAD_BYTES))

    def _reader(self, file: Any, head: bytes) -> Reader:
        """Returns the reader of the format. Raises UnreadableInput if there is none."""
        if self.format == "parquet":
            if self.size is None:
                raise UnreadableInput(f"{self} is a Parquet file, whose end is read first: give it as a file")
            make: Callable[..., Reader] = import_parquet().ParquetRows
            return make(file, head, str(self), self._job)
        problem = ""
        if _BINARY.match(head):
            advice = "extract its text, or convert it to CSV, JSON Lines or Parquet"
            problem = f"is a document, an image, an archive or a table in a binary format: {advice}"
        elif _UTF16.match(head):
            problem = "is in UTF-16 or UTF-32: convert it to UTF-8, with iconv -f UTF-16 -t UTF-8 for instance"
        elif _CARRIAGE_RETURNS.match(head):
            problem = "has carriage returns for line ends: convert them, with tr '\\r' '\\n' for instance"
        elif self.format == "conllu" and self._job.task != "tag":
            problem = "is CoNLL-U, which is for --task tag: write its texts to a file of lines"
        elif self.format == "text" and (column := self._job.text_column) != TEXT_COLUMN:
            advice = "name another format with --input-format if it is one"
            problem = f"has no column {column!r}, since it is plain text: {advice}"
        if problem:
            raise UnreadableInput(f"{self} {problem}")
        return READERS[self.format](file, head, str(self), self._job)

    def _check_unchanged(self) -> None:
        before, now = self._facts, os.fstat(self._file.fileno())
        if self.can_reread and (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
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


def import_parquet() -> Any:
    """Returns the module for Parquet. Raises UnreadableInput without the extra that it needs."""
    return import_extra(f"{__package__}.parquet", "files", "Parquet")

"""Reads the rows of a file in chunks, starting at any position."""

import gzip
import hashlib
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BufferedIOBase, BufferedReader
from itertools import islice
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, NamedTuple, cast

from service.commands.annotate.opening import GZIP, peeked, refuse_binary, refuse_old_line_ends
from service.commands.annotate.readers import Reader, decoded, each, format_of, make_reader
from service.commands.annotate.remote import content_key, is_remote, opened, url_of
from service.commands.annotate.rows import (
    Chunk,
    Content,
    InputFormat,
    InputOptions,
    Lines,
    Position,
    Rejected,
    Row,
    UnreadableInput,
)
from service.errors import TagwerkError, install

STDIN = Path("-")
CHUNK_CHARACTERS = 16_384  # some thousand tokens: enough for full batches, few enough to have many in progress
CHUNK_ROWS = 256
CHUNK_BYTES = 2**20  # of the input, which may have much besides the texts
UNLIMITED = sys.maxsize


class Opened(NamedTuple):
    """An open input: the file, decompressed, its content, and its rows; for typed outputs, the types of its columns."""

    file: BufferedIOBase
    content: Content
    reader: Reader
    schema: Any


class Source:
    """A file of texts, or standard input.

    `look` detects the format; every reading method calls it first.

    Attributes:
        name: of the file, below the folder that the argument names.
        can_reread: whether it is a regular file, as far as is known.
        size: of the content in bytes; None unless it is a regular file that is not compressed.
        format: None until it is known.
        problem: why it cannot be read.
    """

    def __init__(self, path: Path, options: InputOptions | None = None, name: PurePath | None = None) -> None:
        self.path = path
        self.name = name or PurePath(path.name)
        self.can_reread = path != STDIN
        self.size: int | None = None
        self.format: InputFormat | None = None
        self._options = options or InputOptions()
        self._state: list[int | str] | None = None  # of the file when its digest was computed
        self.problem: UnreadableInput | None = None
        self._looked = path == STDIN

    def look(self) -> None:
        """Determines the format of a regular file, and reads a table's header. Raises UnreadableInput."""
        if not self._looked:
            self._looked = True
            try:
                self._look()
            except UnreadableInput as error:
                self.problem = error
        if self.problem is not None:
            raise self.problem

    def _look(self) -> None:
        path = self.path
        with self._errors():
            facts = path.stat()
            self.can_reread = stat.S_ISREG(facts.st_mode)
            if stat.S_ISFIFO(facts.st_mode):  # opening and closing a pipe would disconnect its writer
                return
            self.size = facts.st_size if self.can_reread else None
            if self.can_reread:
                with self._opened(UNLIMITED):
                    pass
            else:
                with path.open("rb"):
                    pass

    def __str__(self) -> str:
        return "standard input" if self.path == STDIN else url_of(self.path)

    def digest(self) -> str | None:
        """Returns the SHA-256 of the file; None unless it is a regular file. Raises UnreadableInput."""
        self.look()
        if not self.can_reread:
            return None
        with self._errors(), self._file() as file:
            self._state = self._state_of(file)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def chunks(self, start: Position, longest: int, limit: int | None = None) -> Iterator[Chunk]:
        """Yields chunks of rows from a position on, `limit` rows at most; of a table at least one, which may be empty.

        A bad row is a line that is not UTF-8, a text longer than `longest` characters, or a row that is invalid in the
        format. Raises UnreadableInput for a bad row if the options are strict, and if the file has changed since its
        digest was computed.
        """
        self.look()
        with self._errors(), self._opened(longest) as (file, lines, reader, schema):
            self._check_unchanged(file)
            if start != Position():
                lines.seek(start)
            rows: list[Row] = []
            rejected: list[Rejected] = []
            characters = 0
            first = start == Position() and (bool(reader.layout.columns) or self._options.typed)
            for row in islice(reader.rows, limit):
                if isinstance(row, Rejected):
                    rejected.append(row)
                else:
                    rows.append(row)
                    characters += len(row.text) if row.tokens is None else sum(map(len, row.tokens))
                size = lines.position.bytes - start.bytes
                if characters >= CHUNK_CHARACTERS or len(rows) + len(rejected) == CHUNK_ROWS or size >= CHUNK_BYTES:
                    yield Chunk(rows, start, lines.position, reader.layout, rejected, schema)
                    rows, rejected, characters, start, first = [], [], 0, lines.position, False
            if rows or rejected or first:
                yield Chunk(rows, start, lines.position, reader.layout, rejected, schema)
            self._check_unchanged(file)

    @contextmanager
    def _opened(self, longest: int) -> Iterator[Opened]:
        """Opens the input at the beginning of its content, after a table's header."""
        with ExitStack() as stack:
            stdin = cast(BufferedIOBase, sys.stdin.buffer)
            file = stdin if self.path == STDIN else stack.enter_context(self._file())
            head, file = peeked(file, self.can_reread)
            if head.startswith(GZIP):
                self.size = None
                file = stack.enter_context(gzip.GzipFile(fileobj=file))
                head, file = peeked(file, self.can_reread)
            refuse_binary(str(self), head)
            self.format = format_of(str(self.path), head, self._options)
            if self.format == "parquet":
                yield self._opened_parquet(file, longest)
                return
            refuse_old_line_ends(str(self), head)
            lines = Lines(file, str(self), self._options.encoding)
            reader = make_reader(self.format, lines, head, self._options, longest)
            yield Opened(file, lines, reader, self._schema(head, reader))

    def _file(self) -> BufferedReader:
        """Opens the file itself."""
        return opened(self.path) if is_remote(self.path) else self.path.open("rb")

    def _opened_parquet(self, file: BufferedIOBase, longest: int) -> Opened:
        if self.size is None:
            raise UnreadableInput(f"{self} is a Parquet file, of which the end is read first: give it as a file")
        rows = import_parquet().ParquetRows(file, str(self), self.size, self._options)
        reader = Reader(each(partial(rows.read, longest), rows, self._options.strict), rows.layout)
        return Opened(file, rows, reader, rows.schema)

    def _schema(self, head: bytes, reader: Reader) -> Any:
        """Returns the types of what is kept of the input; None if the output has none."""
        if not self._options.typed:
            return None
        parquet = import_parquet()
        if self.format == "jsonl":
            return parquet.schema_of_objects(decoded(head, self._options))
        names = {"text": ["text"], "conllu": ["sent_id", "newdoc_id", "newpar_id"]}
        return parquet.strings(names.get(str(self.format), reader.layout.columns))

    def _state_of(self, file: BufferedIOBase) -> list[int | str]:
        """Returns what changes when the file is replaced or written."""
        if is_remote(self.path):
            return [content_key(self.path)]
        facts = os.fstat(file.fileno())
        return [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns]

    def _check_unchanged(self, file: BufferedIOBase) -> None:
        if self._state is not None and self._state != self._state_of(file):
            raise UnreadableInput(f"{self} has changed while it was read: annotate it once nothing writes it any more")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UnreadableInput(f"{self} cannot be decompressed: {error}") from None
        except OSError as error:
            raise UnreadableInput(f"{self} cannot be read: {error.strerror or error}") from None
        except Exception as error:
            if not is_remote(self.path) or isinstance(error, TagwerkError):
                raise
            raise UnreadableInput(
                f"{self} cannot be read: {error}"
            ) from None  # the libraries below have errors of their own


def import_parquet() -> ModuleType:
    """Returns the module for Parquet. Raises UnreadableInput without the extra that it needs."""
    try:
        from service.commands.annotate import parquet
    except ImportError:
        raise UnreadableInput(f"Parquet needs the extra `files`: {install('files')}") from None
    return parquet

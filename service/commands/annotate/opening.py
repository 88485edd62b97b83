"""Opens inputs: decompresses gzip, and refuses other binary formats with advice."""

import re
from io import BufferedIOBase, BufferedReader, BytesIO, RawIOBase
from typing import Any

from service.commands.annotate.rows import UnreadableInput

HEAD_BYTES = 16_384
GZIP = b"\x1f\x8b"

_TABLE = "convert it to CSV or JSON Lines, with pandas or DuckDB for instance"
_UNPACK = "unpack it first"
_IMAGE = "extract its text first, with an OCR program for instance"
_UTF16 = re.compile(rb"\xff\xfe|\xfe\xff|(?:[\x20-\x7e]\0){4}|(?:\0[\x20-\x7e]){4}")
_SIGNATURES: dict[bytes, tuple[str, str]] = {
    b"%PDF-": ("a PDF document", "extract its text first, with pdftotext for instance"),
    b"{\\rtf": ("a document in RTF", "save it as plain text in UTF-8"),
    b"\xd0\xcf\x11\xe0": ("a document of Microsoft Office", "save it as CSV or plain text in UTF-8"),
    b"PAR1": ("a Parquet file", _TABLE),
    b"ARROW1": ("an Arrow file", _TABLE),
    b"Obj\x01": ("an Avro file", _TABLE),
    b"ORC": ("an ORC file", _TABLE),
    b"SQLite format 3\0": ("a SQLite database", _TABLE),
    b"\x89PNG": ("an image", _IMAGE),
    b"\xff\xd8\xff": ("an image", _IMAGE),
    b"GIF8": ("an image", _IMAGE),
    b"II*\0": ("an image", _IMAGE),
    b"MM\0*": ("an image", _IMAGE),
    b"BZh": ("compressed with bzip2", "decompress it with bunzip2, or compress it with gzip"),
    b"\xfd7zXZ\0": ("compressed with xz", "decompress it with unxz, or compress it with gzip"),
    b"\x28\xb5\x2f\xfd": ("compressed with Zstandard", "decompress it with unzstd, or compress it with gzip"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    b"Rar!\x1a\x07": ("a rar archive", _UNPACK),
}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ZIPPED = {
    rb"xl/|opendocument\.spreadsheet": ("a spreadsheet", "save it as CSV in UTF-8"),
    rb"word/|opendocument\.text": ("a text document", "save it as plain text in UTF-8"),
    rb"": ("a zip archive", _UNPACK),
}
_TAR = slice(257, 262), b"ustar"


def refuse_binary(name: str, head: bytes) -> None:
    """Raises UnreadableInput if the beginning of a file is that of a binary format."""
    found = next((what for signature, what in _SIGNATURES.items() if head.startswith(signature)), None)
    if head.startswith(_ZIP):
        found = next(what for pattern, what in _ZIPPED.items() if re.search(pattern, head))
    elif head[_TAR[0]] == _TAR[1]:
        found = ("a tar archive", _UNPACK)
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        found = ("an image", _IMAGE)
    elif found is None and _UTF16.match(head):
        found = ("in UTF-16 or UTF-32", "convert it to UTF-8, with iconv -f UTF-16 -t UTF-8 for instance")
    if found is not None:
        raise UnreadableInput(f"{name} is {found[0]}: {found[1]}")


def peeked(file: BufferedIOBase, can_seek: bool) -> tuple[bytes, BufferedIOBase]:
    """Returns the first bytes of a file, HEAD_BYTES at most, and the file from its beginning again."""
    head = file.read(HEAD_BYTES)
    if can_seek:
        file.seek(0)
        return head, file
    rest = file if len(head) == HEAD_BYTES else BytesIO()  # a terminal would be read again behind its end
    return head, BufferedReader(_Joined(head, rest))


class _Joined(RawIOBase):
    """Some bytes, then the rest of a file."""

    def __init__(self, head: bytes, rest: BufferedIOBase) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads into a buffer; returns the number of bytes, 0 at the end."""
        some = self._head[: len(buffer)] or self._rest.read1(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(some)] = some
        return len(some)

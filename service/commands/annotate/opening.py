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
_UTF8 = "convert it to UTF-8, with iconv -f UTF-16 -t UTF-8 for instance"
_FORMATS: dict[bytes, tuple[str, str]] = {  # by a pattern of their beginning
    rb"%PDF-": ("a PDF document", "extract its text first, with pdftotext for instance"),
    rb"PK[\x03\x05].*?(?:xl/|opendocument\.spreadsheet)": ("a spreadsheet", "save it as CSV in UTF-8"),
    rb"PK[\x03\x05].*?(?:word/|opendocument\.text)": ("a text document", "save it as plain text in UTF-8"),
    rb"PK[\x03\x05]": ("a zip archive", _UNPACK),
    rb"\xd0\xcf\x11\xe0": ("a document of Microsoft Office", "save it as CSV or plain text in UTF-8"),
    rb"\{\\rtf": ("a document in RTF", "save it as plain text in UTF-8"),
    rb"ARROW1\0": ("an Arrow file", _TABLE),
    rb"Obj\x01": ("an Avro file", _TABLE),
    rb"SQLite format 3\0": ("a SQLite database", _TABLE),
    rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*|RIFF....WEBP": ("an image", _IMAGE),
    rb"BZh[1-9]1AY&SY": ("compressed with bzip2", "decompress it with bunzip2, or compress it with gzip"),
    rb"\xfd7zXZ\0": ("compressed with xz", "decompress it with unxz, or compress it with gzip"),
    rb"\x28\xb5\x2f\xfd": ("compressed with Zstandard", "decompress it with unzstd, or compress it with gzip"),
    rb"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    rb"Rar!\x1a\x07": ("a rar archive", _UNPACK),
    rb".{257}ustar": ("a tar archive", _UNPACK),
    rb"\xff\xfe|\xfe\xff|(?:[\x20-\x7e]\0){4}|(?:\0[\x20-\x7e]){4}": ("in UTF-16 or UTF-32", _UTF8),
}


def refuse_binary(name: str, head: bytes) -> None:
    """Raises UnreadableInput if the beginning of a file is that of a binary format."""
    for pattern, (what, advice) in _FORMATS.items():
        if re.match(pattern, head, re.DOTALL):
            raise UnreadableInput(f"{name} is {what}: {advice}")


def refuse_old_line_ends(name: str, head: bytes) -> None:
    """Raises UnreadableInput if the beginning of a text has carriage returns for line ends."""
    if re.match(rb"[^\r\n]*\r[^\n]+\Z", head):
        raise UnreadableInput(
            f"{name} has carriage returns for line ends: convert them, with tr '\\r' '\\n' for instance"
        )


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

"""Reads text files, plain or gzipped, with or without a byte order mark, with any line ends."""

import gzip
import zlib
from pathlib import Path

from service.errors import TagwerkError

GZIP = b"\x1f\x8b"
WIDE = (b"\xff\xfe", b"\xfe\xff")  # the byte order marks of UTF-16


class DataFileError(TagwerkError):
    """A data file cannot be used: says the file, the line, what is wrong with it, and what would be right."""

    def __init__(self, file: Path | str, line: int | None, fault: str, right: str) -> None:
        place = f"{file}, line {line}" if line else f"{file}"
        super().__init__(f"{place}: {fault}; right: {right}")


def read_text(path: Path) -> str:
    """Returns the text of a UTF-8 file, its line ends as "\\n". Raises DataFileError."""
    content = read_content(path)
    if content.startswith(WIDE):
        raise DataFileError(path, None, "is UTF-16", "UTF-8, which `iconv -f UTF-16 -t UTF-8` makes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        fault = f"the byte 0x{content[error.start]:02X} is not UTF-8"
        raise DataFileError(path, line, fault, "UTF-8, which `iconv -f ISO-8859-1 -t UTF-8` makes, say") from None
    if not text.strip():
        raise DataFileError(path, None, "is empty", "a file with examples")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_content(path: Path) -> bytes:
    """Returns the bytes of a file, without gzip. Raises DataFileError."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP) else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataFileError(path, None, f"gzip cannot be undone: {error}", "a whole file") from None
    except OSError as error:
        raise DataFileError(path, None, f"cannot be read: {error.strerror}", "the name of a file") from None

"""Reads the files of a model version folder, whatever lies there in their place.

A folder comes from elsewhere. So nothing in it is followed (symbolic links), waited for (pipes, devices), or read and
walked without a limit.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from service.errors import ArtifactError, ConfigurationError

MAX_READ_BYTES = 2**25  # 32 MiB: a file that is parsed: signature, vocabulary, dictionary, goldens
MAX_VERSION_BYTES = 2**32  # 4 GiB: all files of a version together, so any one of them, too
MAX_FILES = 1000  # folders are counted, too
MAX_DEPTH = 8  # folders inside each other
CHUNK_BYTES = 2**20


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turns whatever fails while a file is read and parsed into an ArtifactError that names the file."""
    try:
        yield
    except (ArtifactError, ConfigurationError):
        raise
    except FileNotFoundError as error:
        raise ArtifactError(f"{name} is missing") from error
    except OSError as error:
        raise ArtifactError(f"{name} cannot be read: {error.strerror}") from error
    except Exception as error:  # a parser raises what it likes
        raise ArtifactError(f"{name} cannot be read: {type(error).__name__}: {error}") from error


def list_files(folder: Path) -> dict[str, os.stat_result]:
    """Returns the status of each file in a folder, by its path inside it.

    Raises OSError, and ArtifactError where something is neither a file nor a folder, or there is too much of it.
    """
    found: dict[str, os.stat_result] = {}
    folders, seen = [""], 0
    while folders:
        inside = folders.pop()
        with os.scandir(folder / inside) as entries:
            for entry in entries:
                name, seen = inside + entry.name, seen + 1
                if seen > MAX_FILES:
                    raise ArtifactError(f"the folder holds more than {MAX_FILES} files")
                if entry.is_dir(follow_symlinks=False):
                    if name.count("/") >= MAX_DEPTH:
                        raise ArtifactError(f"{name} is nested more than {MAX_DEPTH} folders deep")
                    folders.append(f"{name}/")
                    continue
                found[name] = entry.stat(follow_symlinks=False)
                check_kind(name, found[name])
    if sum(status.st_size for status in found.values()) > MAX_VERSION_BYTES:
        raise ArtifactError(f"the files are over {MAX_VERSION_BYTES} bytes together")
    return found


def check_kind(name: str, status: os.stat_result) -> None:
    """Raises ArtifactError for what is no regular file."""
    if stat.S_ISREG(status.st_mode):
        return
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe"}
    kind = kinds.get(stat.S_IFMT(status.st_mode), "a device or a socket")
    raise ArtifactError(f"{name} is {kind}; it should be a regular file")


@contextmanager
def opened(folder: Path, name: str, most: int) -> Iterator[BinaryIO]:
    """Opens a regular file of at most so many bytes. Raises OSError, ArtifactError."""
    path = folder / name
    check_kind(name, path.lstat())
    # It may be another by now: a link is not followed, and a pipe is not waited for.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        check_kind(name, status)
        if status.st_size > most:
            raise ArtifactError(f"{name} has {status.st_size} bytes; allowed: {most}")
        yield file


def read_file(folder: Path, name: str, most: int = MAX_READ_BYTES) -> bytes:
    """Returns the contents of a file. Raises OSError, ArtifactError."""
    with opened(folder, name, most) as file:
        content = file.read(most + 1)
    if len(content) > most:  # it has grown
        raise ArtifactError(f"{name} has more than {most} bytes")
    return content


def sha256_of(folder: Path, name: str, write: Callable[[bytes], object] = len) -> str:
    """Returns the SHA-256 of a file in hexadecimal; `write` is given each piece that is hashed.

    Raises OSError, ArtifactError.
    """
    digest, left = hashlib.sha256(), MAX_VERSION_BYTES
    with opened(folder, name, left) as file:
        while piece := file.read(CHUNK_BYTES):
            left -= len(piece)
            if left < 0:  # it grows while it is read
                raise ArtifactError(f"{name} has more than {MAX_VERSION_BYTES} bytes")
            digest.update(piece)
            write(piece)
    return digest.hexdigest()


def check_sum(name: str, found: str, checksums: Mapping[str, str]) -> None:
    """Raises ArtifactError where a file's checksum is not the one that is listed."""
    if checksums[name] != found:
        raise ArtifactError(f"{name} is altered (checksum differs from the manifest's)")


@contextmanager
def verified_copy(folder: Path, checksums: Mapping[str, str]) -> Iterator[Path]:
    """Yields a private folder with copies of the files whose checksums are given, until the end of the block.

    Each is hashed as it is copied, so what is read there is what was verified, whatever happens to the version folder
    meanwhile. Raises ArtifactError.
    """
    with TemporaryDirectory(prefix=copies_of(os.getpid())) as place:  # its own user alone may read it
        for name in checksums:
            with reading(name):
                target = Path(place, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as copy:
                    found = sha256_of(folder, name, copy.write)
                check_sum(name, found, checksums)
        yield Path(place)


def copies_of(pid: int) -> str:
    """Returns how the names of the folders begin that `verified_copy` makes in a process."""
    return f"tagwerk-copy-{pid}-"

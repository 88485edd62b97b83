"""Reads the files of a model version folder safely.

The folder is untrusted: nothing in it is followed (symbolic links), waited for (pipes, devices), or read and walked
without a limit.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from service.errors import ArtifactError, ConfigurationError
from service.files import lock_file

MAX_READ_BYTES = 2**24  # 16 MiB per parsed file: signature, vocabulary, dictionary, goldens; 250 MB once parsed
MAX_VERSION_BYTES = 2**32  # 4 GiB for all files of a version
MAX_FILES = 1000  # files and folders
MAX_DEPTH = 8  # levels of nested folders
CHUNK_BYTES = 2**20
COPY = "tagwerk-copy-"  # the names of private folders begin so


@contextmanager
def reading(name: str, done: str = "read") -> Iterator[None]:
    """Converts any error of reading and parsing a file, or what else is `done`, to an ArtifactError that names it."""
    try:
        yield
    except (ArtifactError, ConfigurationError):
        raise
    except FileNotFoundError as error:
        raise ArtifactError(f"{name} is missing") from error
    except OSError as error:
        raise ArtifactError(f"{name} cannot be {done}: {error.strerror}") from error
    except Exception as error:  # parsers raise various errors
        raise ArtifactError(f"{name} cannot be {done}: {type(error).__name__}: {error}") from error


def list_files(folder: Path) -> dict[str, os.stat_result]:
    """Returns the status of each file in a folder, by relative path.

    Raises OSError, and ArtifactError for special files or if a limit is exceeded.
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
    """Raises ArtifactError unless it is a regular file."""
    if stat.S_ISREG(status.st_mode):
        return
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe"}
    kind = kinds.get(stat.S_IFMT(status.st_mode), "a device or a socket")
    raise ArtifactError(f"{name} is {kind}; it should be a regular file")


def read_chunks(folder: Path, name: str, most: int) -> Iterator[bytes]:
    """Yields the content of a regular file of at most `most` bytes. Raises OSError, ArtifactError."""
    path, left = folder / name, most
    check_kind(name, path.lstat())
    # The file may have been replaced: O_NOFOLLOW and O_NONBLOCK refuse links and do not wait for pipes.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        check_kind(name, os.fstat(file.fileno()))
        while chunk := file.read(CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise ArtifactError(f"{name} has more than {most} bytes")
            yield chunk


def read_file(folder: Path, name: str, most: int = MAX_READ_BYTES) -> bytes:
    """Returns the content of a file. Raises OSError, ArtifactError."""
    return b"".join(read_chunks(folder, name, most))


def sha256_of(folder: Path, name: str, write: Callable[[bytes], object] = len) -> str:
    """Returns a file's SHA-256 in hexadecimal; passes each chunk that is hashed to `write`.

    Raises OSError, ArtifactError.
    """
    digest = hashlib.sha256()
    for chunk in read_chunks(folder, name, MAX_VERSION_BYTES):
        digest.update(chunk)
        write(chunk)
    return digest.hexdigest()


def check_sum(name: str, found: str, checksums: Mapping[str, str]) -> None:
    """Raises ArtifactError if a file's checksum differs from the listed one."""
    if checksums[name] != found:
        raise ArtifactError(f"{name} is altered (checksum differs from the manifest's)")


@contextmanager
def verified_copy(folder: Path, checksums: Mapping[str, str]) -> Iterator[Path]:
    """Yields a private folder with copies of the files that have checksums, until the end of the block.

    Files are hashed while they are copied, so what is read there is what was verified, even if the version folder
    changes. Raises ArtifactError.
    """
    with private_folder() as place:
        for name in checksums:
            with reading(name):
                target = place / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as copy:
                    found = sha256_of(folder, name, copy.write)
                check_sum(name, found, checksums)
        yield place


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yields a temporary folder that its user alone can read, and removes it after the block. Raises OSError.

    It is locked meanwhile: copies without a lock are left by processes that were killed, and are removed.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{COPY}*"):
        with suppress(OSError):  # it is another user's, or is gone
            folder = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if lock_file(folder):
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(folder)
    place, folder = _locked_folder()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(folder)


def _locked_folder() -> tuple[Path, int]:
    """Makes a temporary folder and locks it; another one if a process removes it before. Returns it, open."""
    while True:
        place = Path(tempfile.mkdtemp(prefix=COPY))
        with suppress(FileNotFoundError):
            folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            if lock_file(folder) and place.exists():
                return place, folder
            os.close(folder)

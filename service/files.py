"""Writes files atomically, allocates and locks them, and describes what is invalid in files that were read."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from service.errors import ConfigurationError, NotPossible

LOCK_SECONDS = 5.0  # longest wait for another process's change of a file


class FileModel(BaseModel):
    """Base of the objects in JSON files: immutable, without further members."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def write_whole(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Writes a file under another name and renames it. Raises OSError, and removes what it wrote."""
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            os.fchmod(file.fileno(), mode)
        Path(scratch).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(scratch).unlink()
        raise


def write_output(path: Path | None, content: str) -> None:
    """Writes what a command makes to a file, or to standard output. Raises ConfigurationError."""
    if path is None:
        sys.stdout.buffer.write(content.encode())
        return
    try:
        write_whole(path, content)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None


def fingerprint(path: Path) -> tuple[int, ...]:
    """Returns what changes when a file is written or replaced; nothing if it is missing."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_ino, status.st_size


def make_shared_file(size: int) -> int:
    """Makes an anonymous file in memory, to map; returns its descriptor."""
    file = os.memfd_create("tagwerk", os.MFD_CLOEXEC)
    os.ftruncate(file, size)
    return file


def lock_file(file: int) -> bool:
    """Locks an open file by its descriptor; returns False if another process has it locked.

    The lock ends when the file is closed or the process ends, however it ends.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Holds a lock file beside `path` during the block, which changes it. Raises OSError, NotPossible on a timeout."""
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=seconds, mode=0o666):  # also for another user
            yield
    except Timeout:
        raise NotPossible(f"another process is changing {path}: try again") from None


def first_fault(error: ValidationError) -> str:
    """Describes the first violation of a file's schema in one line, with its place in the file."""
    fault, *others = error.errors(include_url=False)
    place = "/".join(map(str, fault["loc"]))
    problem = fault["msg"].removeprefix("Value error, ")
    return (f"{place}: " if place else "") + problem + (f", and {len(others)} more" if others else "")


def silence_standard_output() -> None:
    """Redirects the interpreter's final flush, once standard output cannot be written."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

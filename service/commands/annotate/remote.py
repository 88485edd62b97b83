"""Reads and writes files that are not on this machine, in any file system of fsspec. Needs the extra `files`.

Such a file has an address, s3://bucket/texts.csv for instance. `universal-pathlib` gives it the interface of
`pathlib.Path`. An input is copied to this machine while it is annotated; an output is made on this machine, and copied
when it is complete.
"""

import hashlib
import os
import tempfile
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any, cast

from service.commands.annotate.rows import UnreadableInput, import_extra

ATOMIC_UPLOADS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}  # an upload appears when it is complete
TEMPORARY = ".uploading"

# Remote paths are cast to Any: without the extra, mypy does not know the type UPath.


def path_of(text: str) -> Path:
    """Returns the path that an argument names. Raises UnreadableInput for one whose file system is not known."""
    if "://" not in text:
        return Path(text)
    upath = import_extra("upath", "files", f"{text} is not on this machine, and")
    try:
        path = upath.UPath(text)
        _ = path.fs
    except (ImportError, ValueError) as error:
        raise UnreadableInput(f"{text}: {error}") from None
    return cast(Path, path)


def is_remote(path: PurePath) -> bool:
    """Returns whether a path is not on this machine."""
    return not isinstance(path, PurePath)


def url_of(path: Path) -> str:
    """Returns a path as text, as `path_of` takes it: a remote one has a user and a host where it was given them.

    Bytes of a name that are not UTF-8 are backslash escapes.
    """
    text = printable(str(path))
    if not is_remote(path):
        return text
    scheme, _, place = text.partition("://")
    options = cast(Any, path).storage_options
    if not place.startswith("/") or not options.get("host"):
        return text
    user = f"{options['username']}@" if "username" in options else ""
    port = f":{options['port']}" if options.get("port") else ""
    return f"{scheme}://{user}{options['host']}{port}{place}"


def printable(name: str) -> str:
    """Returns a file's name with backslash escapes for bytes that are not UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def download(path: Path, file: IO[bytes]) -> None:
    """Copies a remote file to an open file without a name."""
    remote = cast(Any, path)
    remote.fs.invalidate_cache()
    remote.fs.get_file(remote.path, f"/dev/fd/{file.fileno()}")


def found(path: Path, pattern: str | None = None) -> list[PurePosixPath]:
    """Returns the names of the files in a remote folder and below, or of the files that match a pattern."""
    remote = cast(Any, path)
    paths: list[Any] = remote.fs.find(remote.path) if pattern is None else remote.fs.glob(pattern)
    return [
        PurePosixPath(str(one)).relative_to(remote.path) for one in paths if pattern is None or remote.fs.isfile(one)
    ]


def working_copy(target: Path) -> Path:
    """Returns where an output is made: for another machine, always the same place below the temporary folder.

    Raises UnreadableInput if another user owns that.
    """
    if not is_remote(target):
        return target
    folder = Path(tempfile.gettempdir()) / f"tagwerk-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise UnreadableInput(f"{folder} belongs to another user: set TMPDIR to another folder")
    name = hashlib.sha256(url_of(target).encode()).hexdigest()[:16]
    return folder / name / target.name


def upload(file: Path, target: Path) -> None:
    """Copies a file, so that no part of it is visible before it is complete. Raises OSError."""
    remote = cast(Any, target)
    if remote.protocol in ATOMIC_UPLOADS:
        remote.fs.put_file(str(file), remote.path)
        return
    remote.fs.makedirs(remote.parent.path, exist_ok=True)
    remote.fs.put_file(str(file), remote.path + TEMPORARY)
    if remote.fs.exists(remote.path):  # what a run that was killed left beside the output: not all rename onto it
        remote.fs.rm_file(remote.path)
    remote.fs.mv(remote.path + TEMPORARY, remote.path)

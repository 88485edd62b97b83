"""Files that are not on this machine, such as s3://bucket/texts.csv: whatever fsspec knows. Needs the extra `files`.

`universal-pathlib` gives them the interface of `pathlib.Path`. An output is made on this machine, and copied when it is
complete.
"""

import hashlib
import os
import tempfile
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from service.commands.annotate.rows import UnreadableInput

if TYPE_CHECKING:
    from upath import UPath

WHOLE_OR_NOT = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}  # an upload appears when it is complete
TEMPORARY = ".uploading"


def path_of(text: str) -> Path:
    """Returns the path that an argument names. Raises UnreadableInput for one whose file system is not known."""
    if "://" not in text:
        return Path(text)
    try:
        from upath import UPath
    except ImportError:
        problem = "needs the extra `files`: pip install 'tagwerk[files]'"
        raise UnreadableInput(f"{text} is not on this machine, and {problem}") from None
    try:
        path = UPath(text)
        _ = path.fs
    except (ImportError, ValueError) as error:
        raise UnreadableInput(f"{text}: {error}") from None
    return cast(Path, path)


def is_remote(path: PurePath) -> bool:
    """Says whether a path is not on this machine."""
    return not isinstance(path, PurePath)


def content_key(path: Path) -> str:
    """Returns what changes when a remote file is replaced or written: its entity tag, or its size and time."""
    remote = _remote(path)
    remote.fs.invalidate_cache()
    key: str = remote.fs.ukey(remote.path)
    return key


def found(path: Path, pattern: str | None = None) -> tuple[Path, list[PurePosixPath]]:
    """Returns a remote folder and the names of the files in it and below, or of those that match a pattern."""
    remote = _remote(path)
    paths: list[Any] = remote.fs.find(remote.path) if pattern is None else remote.fs.glob(pattern)
    root = remote.fs._strip_protocol(remote.path)
    names = [PurePosixPath(str(one)).relative_to(root) for one in paths if pattern is None or remote.fs.isfile(one)]
    return path, names


def working_copy(target: Path) -> Path:
    """Returns where an output is made on this machine, always the same place below the folder for temporary files.

    Raises UnreadableInput if another user owns it.
    """
    folder = Path(tempfile.gettempdir()) / f"tagwerk-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise UnreadableInput(f"{folder} belongs to somebody else: set TMPDIR to another folder")
    name = hashlib.sha256(str(target).encode()).hexdigest()[:16]
    return folder / name / target.name


def upload(file: Path, target: Path) -> None:
    """Copies a file, so that it appears whole or not at all. Raises OSError."""
    remote = _remote(target)
    if remote.protocol in WHOLE_OR_NOT:
        remote.fs.put_file(str(file), remote.path)
        return
    remote.fs.makedirs(remote.fs._parent(remote.path), exist_ok=True)
    remote.fs.put_file(str(file), remote.path + TEMPORARY)
    remote.fs.mv(remote.path + TEMPORARY, remote.path)


def _remote(path: Path) -> "UPath":
    return cast("UPath", path)

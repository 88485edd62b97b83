"""Downloads of files that never change: compared with their checksum, atomic."""

import gzip
import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from service.errors import TagwerkError


class DownloadError(TagwerkError):
    """A file cannot be downloaded, or its content has changed."""


@dataclass(frozen=True, slots=True)
class File:
    """A file at a public address, under the name that it gets here.

    `sha256` is of the content that is used: after gzip is undone, and of the first `lines` lines only where
    the public file goes on with something else, or of what `made` makes of it. `size` is that of the download, in
    bytes. A file with `by_hand` must be prepared by hand from what the address has; `by_hand` says how. `earlier` is
    the checksum of a file that versions in the store have learned from: where it is there, it is used instead.
    """

    name: str
    address: str
    size: int
    sha256: str
    lines: int | None = None
    made: Callable[[Path], bytes] | None = None
    by_hand: str = ""
    earlier: str = ""


def open_bytes(path: Path) -> gzip.GzipFile | BufferedReader:
    """Opens a file for reading, without gzip if its name ends in `.gz`."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def checksum_of(path: Path) -> str | None:
    """Returns the SHA-256 of the content, None where gzip cannot be undone."""
    try:
        with open_bytes(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return None


def download(files: Sequence[File], folder: Path, console: Console) -> None:
    """Downloads files into a folder, with a progress bar each. Raises DownloadError."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    client = httpx.Client(follow_redirects=True, timeout=30, headers={"Accept-Encoding": "identity"})
    with client, Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        for file in files:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _download(client, file, folder / file.name, progress)
            except httpx.HTTPStatusError as error:
                raise DownloadError(f"{file.address} answers with status {error.response.status_code}") from error
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
                message = f"{file.address} cannot be downloaded ({reason}); fetch again"
                raise DownloadError(message) from error
            except OSError as error:
                raise DownloadError(f"{folder / file.name} cannot be written: {error.strerror}") from error


def _download(client: httpx.Client, file: File, target: Path, progress: Progress) -> None:
    """Downloads to `<target>.part`, and renames what is complete. A part does not stay."""
    part = target.with_name(target.name + ".part")
    try:
        with client.stream("GET", file.address) as response, part.open("wb") as stream:
            response.raise_for_status()
            bar = progress.add_task(file.name, total=file.size)
            for chunk in response.iter_bytes():
                stream.write(chunk)
                progress.advance(bar, len(chunk))
        if file.lines is not None:
            part.write_bytes(b"".join(part.read_bytes().splitlines(keepends=True)[: file.lines]))
        if file.made:
            part.write_bytes(file.made(part))
        if (checksum := checksum_of(part)) != file.sha256:
            raise DownloadError(f"{file.address} has changed: sha256 {checksum}, not {file.sha256}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)

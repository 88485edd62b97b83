"""Caches XLA's executables on disk."""

import hashlib
import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from service.files import lock_file, write_whole
from service.telemetry.process_metrics import tensorflow_version
from service.types import ModelKey

log = logging.getLogger("tagwerk.engine")

LEAST_BYTES = 64 * 2**20  # of room for executables
EXECUTABLES, CHECKSUM = "*.pb", ".sha256"  # files of executables, and what their checksums' names end with
PAUSE_SECONDS = 0.05  # between attempts to lock a model


def cache_executables(folder: Path) -> None:
    """Configures TensorFlow, which must not have compiled anything yet, to read and write executables in a folder.

    Executables are machine code: each processor type and TensorFlow release has a subfolder. A folder that cannot be
    written, or has no room, is a warning, and nothing is cached.
    """
    place = _place(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        remove_damaged_executables(place)
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(2**20))
        if (left := shutil.disk_usage(place).free) < LEAST_BYTES:
            raise OSError(f"{left} bytes are left at {place}, and {LEAST_BYTES} are needed")
    except OSError as error:
        log.warning("executables are not cached, so that each start compiles them: %s (TAGWERK_XLA_CACHE)", error)
        return
    flags = os.environ.get("TF_XLA_FLAGS", "")
    os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_persistent_cache_directory={place}".strip()


def remove_damaged_executables(place: Path) -> bool:
    """Removes the executables whose checksum is missing or differs; returns whether there were any.

    TensorFlow would run what is left of them, or fail.
    """
    damaged = [path for path in place.glob(EXECUTABLES) if _checksum(path) != _recorded(path)]
    for path in damaged:
        path.unlink(missing_ok=True)
        path.with_suffix(CHECKSUM).unlink(missing_ok=True)
    if damaged:
        log.warning("cached executables that are damaged, and are compiled again: %d", len(damaged))
    return bool(damaged)


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _recorded(path: Path) -> str:
    """Returns the checksum that is recorded for an executable; an empty string if there is none."""
    try:
        return path.with_suffix(CHECKSUM).read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def _place(folder: Path) -> Path:
    """Returns the subfolder of the executables for this processor and TensorFlow."""
    return folder.absolute() / hashlib.sha256(f"{_processor()} {tensorflow_version()}".encode()).hexdigest()[:16]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return " ".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


class CompilationLocks:
    """Locks models that are being compiled, among the processes that share a cache of executables.

    Each process takes the first of its models that no other compiles, so that all cores compile side by side, and
    reads from the cache what others have compiled.
    """

    def __init__(self, folder: Path | None) -> None:
        """`folder` is that of the cache; without one, nothing is locked."""
        self._folder = folder

    @contextmanager
    def first_free(self, keys: Sequence[ModelKey], stopped: Callable[[], bool]) -> Iterator[ModelKey]:
        """Locks the first of some models that no other process has locked during the block; yields it.

        Waits while all are locked. Continues without a lock once `stopped` returns True, or if files cannot be locked.
        """
        with ExitStack() as opened:
            yield self._lock_first(keys, stopped, opened)

    def remove_damaged_executables(self) -> bool:
        """Removes the executables that are damaged; returns whether there were any."""
        return self._folder is not None and remove_damaged_executables(_place(self._folder))

    def record_executables(self) -> None:
        """Writes the checksums of the executables that have none. Called after each compilation.

        TensorFlow names executables by hashes, and renames them once they are complete.
        """
        if self._folder is None:
            return
        with suppress(OSError):  # then it is compiled again at the next start
            for path in _place(self._folder).glob(EXECUTABLES):
                if not path.with_suffix(CHECKSUM).exists():
                    write_whole(path.with_suffix(CHECKSUM), _checksum(path))

    def _lock_first(self, keys: Sequence[ModelKey], stopped: Callable[[], bool], opened: ExitStack) -> ModelKey:
        try:
            files = [(key, opened.enter_context(self._lock(key).open("w"))) for key in keys] if self._folder else []
            while files and not stopped():
                for key, file in files:
                    if lock_file(file.fileno()):
                        return key
                time.sleep(PAUSE_SECONDS)
        except OSError as error:
            log.warning("models are compiled without a lock: %s", error)
        return keys[0]

    def _lock(self, key: ModelKey) -> Path:
        assert self._folder is not None  # noqa: S101 (checked by the caller)
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{key.name}-{key.version}.lock"


NO_LOCKS = CompilationLocks(None)

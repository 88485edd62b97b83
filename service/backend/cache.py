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

from service.files import lock_file
from service.telemetry.process_metrics import tensorflow_version
from service.types import ModelKey

log = logging.getLogger("tagwerk.engine")

LEAST_BYTES = 64 * 2**20  # of room for executables
PAUSE_SECONDS = 0.05  # between attempts to lock a model


def cache_executables(folder: Path) -> None:
    """Configures TensorFlow, which must not have compiled anything yet, to read and write executables in a folder.

    Executables are machine code: each processor type and TensorFlow release has a subfolder. A folder that cannot be
    written, or has no room, is a warning, and nothing is cached.
    """
    place = _place(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
        if (left := shutil.disk_usage(place).free) < LEAST_BYTES:
            raise OSError(f"{left} bytes are left at {place}, and {LEAST_BYTES} are needed")
    except OSError as error:
        log.warning("executables are not cached, so that each start compiles them: %s (TAGWERK_XLA_CACHE)", error)
        return
    flags = os.environ.get("TF_XLA_FLAGS", "")
    os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_persistent_cache_directory={place}".strip()


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

    def discard_executables(self) -> bool:
        """Removes the cached executables, one of which cannot be read; returns False if none are cached.

        Which one it is does not show: TensorFlow names them by hashes, and some are of no use to this process.
        """
        found = (
            list(_place(self._folder).iterdir()) if self._folder is not None and _place(self._folder).is_dir() else []
        )
        for path in found:
            with suppress(OSError):  # another process has removed it
                path.unlink()
        return bool(found)

    def _lock_first(self, keys: Sequence[ModelKey], stopped: Callable[[], bool], opened: ExitStack) -> ModelKey:
        try:
            files = [(key, opened.enter_context(self._lock(key).open("w"))) for key in keys] if self._folder else []
            while files and not stopped():
                for key, file in files:
                    if lock_file(file.fileno(), 0.0):
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

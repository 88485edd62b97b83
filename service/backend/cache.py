"""Caches XLA's executables on disk."""

import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

from service.files import lock_file
from service.telemetry.process_metrics import tensorflow_version


def cache_executables(folder: Path) -> None:
    """Configures TensorFlow, which must not be imported yet, to read and write executables in a folder.

    Executables are machine code: each processor type and TensorFlow release has a subfolder.
    """
    place = folder.absolute() / hashlib.sha256(f"{_processor()} {tensorflow_version()}".encode()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    flags = os.environ.get("TF_XLA_FLAGS", "")
    os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_persistent_cache_directory={place}".strip()
    # XLA warns for each cached executable that two tuning flags are not among the processor's features, which they are
    # not meant to be.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return " ".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


@contextmanager
def compilation_lock(folder: Path, stopped: Callable[[], bool]) -> Iterator[None]:
    """Locks the folder during the block: of engines that start together, one compiles and the others read its cache.

    Continues without the lock once `stopped` returns True.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        lock_file(lock.fileno(), inf, stopped=stopped, pause_seconds=0.1)
        yield

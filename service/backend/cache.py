"""Keeps XLA's executables between starts."""

import fcntl
import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def keep_executables(folder: Path) -> None:
    """Lets TensorFlow, which must not be imported yet, read and write executables in a folder.

    Each kind of processor and each release of TensorFlow has a folder of its own in it: an executable is machine code.
    """
    place = folder.absolute() / hashlib.sha256(f"{_processor()} {_tensorflow()}".encode()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    flags = os.environ.get("TF_XLA_FLAGS", "")
    os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_persistent_cache_directory={place}".strip()
    # For each executable that it reads, XLA says at length that two flags of tuning, which are none of the processor's
    # features, are not among the processor's features.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return " ".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def _tensorflow() -> str:
    for package in ("tensorflow-cpu", "tensorflow"):
        try:
            return version(package)
        except PackageNotFoundError:
            pass
    return "none"


@contextmanager
def compiling_alone(folder: Path, stopped: Callable[[], bool]) -> Iterator[None]:
    """Holds the folder for the block: of engines that start together, one compiles and the others read what it kept.

    One that is `stopped` while it waits goes on at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        while not stopped():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free again when this process ends, however it ends
                break
            except BlockingIOError:
                time.sleep(0.1)
        yield

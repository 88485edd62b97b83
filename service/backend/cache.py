"""Keeps XLA's executables between starts."""

import hashlib
import os
import platform
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

"""The folders that training writes to, and the atomic replacement of a file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def runs_folder() -> Path:
    """Returns where checkpoints are kept: `$TAGWERK_RUNS_DIR`, or `runs`."""
    return Path(os.environ.get("TAGWERK_RUNS_DIR") or "runs")


def model_store() -> Path:
    """Returns where model versions are kept: `$TAGWERK_MODEL_STORE`, or `model_store`."""
    return Path(os.environ.get("TAGWERK_MODEL_STORE") or "model_store")


def replace_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replaces a file atomically: writes a temporary file beside it and renames that; makes its folder.

    Raises OSError.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise

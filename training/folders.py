"""The folders that training writes to."""

import os
from pathlib import Path


def runs_folder() -> Path:
    """Returns where checkpoints are kept: `$TAGWERK_RUNS_DIR`, or `runs`."""
    return Path(os.environ.get("TAGWERK_RUNS_DIR") or "runs")


def model_store() -> Path:
    """Returns where model versions are kept: `$TAGWERK_MODEL_STORE`, or `model_store`."""
    return Path(os.environ.get("TAGWERK_MODEL_STORE") or "model_store")

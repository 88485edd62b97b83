from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training import tiny
from training.tasks.tagging import Tagging


@pytest.fixture(scope="session")
def tagging() -> Callable[..., Tagging]:
    """Makes tiny taggers; arguments change the recipe."""
    return tiny.tagging


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns an empty folder, where runs keep their checkpoints."""
    monkeypatch.setenv("TAGWERK_RUNS_DIR", str(tmp_path))
    return tmp_path

"""Fixtures of the tests of processes."""

from pathlib import Path

import pytest

from service.process import engine_launcher, store_watch
from tests.artifact.test_manifest import write_version
from tests.process.rollout_scene import AtOnce


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a store with two models, which is looked at without threads."""
    monkeypatch.setattr(store_watch, "ThreadPoolExecutor", AtOnce)
    for name in ("healthy", "victim"):
        write_version(tmp_path, name)
    return tmp_path


@pytest.fixture
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a standby be started as soon as all versions are loaded."""
    monkeypatch.setattr(engine_launcher, "STANDBY_DELAY_SECONDS", 0)

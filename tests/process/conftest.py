"""Fixtures of the tests of processes."""

from pathlib import Path

import pytest

from service.process import store_watch
from tests.artifact.test_manifest import write_version
from tests.process.rollout_scene import AtOnce


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a store with two models, which is polled without threads."""
    monkeypatch.setattr(store_watch, "ThreadPoolExecutor", AtOnce)
    for name in ("healthy", "victim"):
        write_version(tmp_path / "store", name)
    return tmp_path / "store"

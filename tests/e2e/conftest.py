from pathlib import Path

import pytest

from tests.conftest import once
from tests.tiny_store import make_versions


@pytest.fixture(scope="session")
def tiny_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a store with two versions of a tagger and a classifier, to copy from."""
    return once(tmp_path_factory, "tiny-versions", make_versions)

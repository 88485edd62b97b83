import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import once
from tests.training.from_files.made import make


@pytest.fixture
def made(run: Callable[..., int], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Puts the models of files, and the files, into the folder in which commands run."""
    shutil.copytree(once(tmp_path_factory, "models-of-files", make), tmp_path, dirs_exist_ok=True)

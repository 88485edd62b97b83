"""Keys for the tests of this folder."""

from pathlib import Path

import pytest

from service.security.keys import Authenticator
from tests.http.scene import keyed


@pytest.fixture
def narrow(tmp_path: Path) -> tuple[Authenticator, str, str]:
    """Returns an authenticator, the header of a key that may have one request in progress, and that of another."""
    authenticator, headers = keyed(tmp_path / "keys.json", "narrow", "web")
    return authenticator, headers["narrow"], headers["web"]

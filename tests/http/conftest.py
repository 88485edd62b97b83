"""Keys for the tests of this folder."""

from pathlib import Path

import pytest

from service.security.keys import Authenticator, add_key
from service.security.rate_limiter import RateLimiter


@pytest.fixture
def narrow(tmp_path: Path) -> tuple[Authenticator, str, str]:
    """Returns an authenticator, the header of a key that may have one request in progress, and that of another."""
    path = tmp_path / "keys.json"
    keys = [add_key(path, name, ["infer"], concurrent=most) for name, most in (("narrow", 1), ("web", None))]
    one, other = (f"Authorization: Bearer {key}" for key in keys)
    return Authenticator(path, RateLimiter()), one, other

"""The API keys of the service that requires them."""

import hashlib
import json
from pathlib import Path

KEY = "tagwerk_neighbour"  # of the well-behaved client
LIMITED_KEY = "tagwerk_limited"
LIMITED_PER_SECOND = 10.0
TOKENS_KEY, TOKENS_ID = "tagwerk_tokens", "tokens"
TOKENS_PER_SECOND = 100.0
ORIGIN = "https://page.example"


def write_keys(path: Path) -> None:
    """Writes a file with three keys, two of them with a limit: of requests, and of tokens."""
    limited = key("limited", LIMITED_KEY) | {"requests_per_second": LIMITED_PER_SECOND}
    keys = [key("neighbour", KEY), limited, key(TOKENS_ID, TOKENS_KEY) | {"tokens_per_second": TOKENS_PER_SECOND}]
    path.write_text(json.dumps(keys))
    path.chmod(0o600)


def key(name: str, secret: str) -> dict[str, object]:
    """Returns a key as the file holds it."""
    return {"id": name, "sha256": hashlib.sha256(secret.encode()).hexdigest(), "scopes": ["infer"]}

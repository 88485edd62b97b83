"""What a path says of its requests before they are routed: their key, their log line, the form of their errors."""

from typing import Literal

Scope = Literal["infer", "feedback", "admin"]  # of an API key

PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics", "/v2/health/live", "/v2/health/ready"})  # not logged
OPEN = PROBES | {"/", "/openapi.json", "/docs"}  # need no key, nor do paths below these:
OPEN_BELOW = ("/docs/", "/page/")
FEEDBACK, ADMIN = "/feedback", "/admin"
OPENAI, OPEN_INFERENCE = "/v1", "/v2"  # protocols whose clients read errors in another form


def is_open(path: str) -> bool:
    """Returns whether a path needs no key."""
    return path in OPEN or path.startswith(OPEN_BELOW)


def scope_of(path: str) -> Scope:
    """Returns the scope that a key must have for a path."""
    return "feedback" if path == FEEDBACK else "admin" if path.startswith(f"{ADMIN}/") else "infer"

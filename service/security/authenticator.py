"""Lets in who has a key, where the service has keys at all."""

import time
from collections.abc import Mapping
from pathlib import Path

from service.errors import ConfigurationError, Forbidden, RateLimited, Unauthorized
from service.security.keys import Key, Scope, find, read_keys
from service.security.rate_limiter import RateLimiter

LOOK_SECONDS = 1.0  # between two looks whether the file has changed
OPEN = frozenset(
    {"/", "/livez", "/readyz", "/healthz", "/metrics", "/openapi.json", "/docs", "/v2/health/live", "/v2/health/ready"}
)  # and what lies below these:
OPEN_BELOW = ("/docs/", "/page/")


class Authenticator:
    """The keys of a file. A key that is taken out of it is of no use from the next second on."""

    def __init__(self, path: Path, rate_limiter: RateLimiter) -> None:
        """Raises ConfigurationError for a file that cannot be read."""
        self._path = path
        self._rate_limiter = rate_limiter
        self._written = _moment(path)
        self._looked = time.monotonic()
        self._keys = read_keys(path)

    def enter(self, path: str, headers: Mapping[bytes, bytes]) -> Key | None:
        """Lets a request in; returns its key, to be given to `leave` when it is over, or None where it needs none.

        Raises Unauthorized, Forbidden, RateLimited.
        """
        key = self.authenticate(path, headers)
        if key is not None and (wait := self._rate_limiter.enter(key)):
            limits = ((key.requests_per_second, "requests a second"), (key.concurrent, "at the same time"))
            most = " and ".join(f"{limit:g} {unit}" for limit, unit in limits if limit is not None)
            raise RateLimited(f"the key {key.id!r} is for at most {most}", wait)
        return key

    def authenticate(self, path: str, headers: Mapping[bytes, bytes]) -> Key | None:
        """Returns the key of a request, or None where it needs none. Counts nothing. Raises Unauthorized, Forbidden."""
        if path in OPEN or path.startswith(OPEN_BELOW):
            return None
        self._look()
        secret = _secret(headers)
        if secret is None:
            raise Unauthorized("no key came with the request: send it as Authorization: Bearer KEY")
        key = find(self._keys, secret)
        if key is None:
            raise Unauthorized("the key is none that the service knows")
        needed: Scope = "admin" if path.startswith("/admin/") else "infer"
        if needed not in key.scopes:
            raise Forbidden(f"the key {key.id!r} is for {', '.join(sorted(key.scopes))}; this needs {needed}")
        return key

    def take(self, key: Key) -> float:
        """Counts one more request of a key that was let in; returns 0, or in how many seconds its rate allows one.

        Raises Unauthorized where the key has been taken out of the file.
        """
        self._look()
        if not any(known.sha256 == key.sha256 for known in self._keys):
            raise Unauthorized("the key is not valid any more")
        return self._rate_limiter.take(key)

    def leave(self, key: Key) -> None:
        """Ends a request."""
        self._rate_limiter.leave(key)

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked, written = now, _moment(self._path)
        if written != self._written:
            try:
                self._keys, self._written = read_keys(self._path), written
            except ConfigurationError:
                self._keys = ()  # nobody is let in by what cannot be read


def _secret(headers: Mapping[bytes, bytes]) -> str | None:
    scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and secret.strip():
        return secret.strip().decode("latin-1")
    return None


def _moment(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0

"""Authenticates requests by API key, where the service requires keys."""

import logging
from collections.abc import Mapping
from pathlib import Path

from service.errors import ConfigurationError, Forbidden, Unauthorized
from service.files import fingerprint
from service.paths import is_open, scope_of
from service.security.keys import Key, client_of, find, read_keys
from service.security.rate_limiter import RateLimiter

log = logging.getLogger("tagwerk.server")


class Authenticator:
    """Authenticates requests with the keys of a file, and enforces their limits. Rereads the file when it changes.

    A file that is missing or invalid changes nothing: the keys that were read last stay valid.
    """

    def __init__(self, path: Path, rate_limiter: RateLimiter) -> None:
        """Raises ConfigurationError for an invalid file."""
        self._path = path
        self._rate_limiter = rate_limiter
        self._read = fingerprint(path)
        self._use(read_keys(path))
        self._failure = ""  # the reason why the file cannot be read

    def _use(self, keys: tuple[Key, ...]) -> None:
        self._keys = keys
        self._clients = {client_of(key): key for key in keys}

    def admit(self, path: str, headers: Mapping[bytes, bytes]) -> Key | None:
        """Authenticates a request and counts it; returns its key for `release`, or None if it needs none.

        Raises Unauthorized, Forbidden, RateLimited.
        """
        if is_open(path):
            return None
        secret = _secret(headers)
        if secret is None:
            raise Unauthorized("the request has no API key: send it as Authorization: Bearer KEY")
        key = find(self._keys, secret)
        if key is None:
            raise Unauthorized("the API key is not known")
        if (needed := scope_of(path)) not in key.scopes:
            raise Forbidden(f"the key {key.id!r} is for {', '.join(sorted(key.scopes))}; this needs {needed}")
        self._rate_limiter.acquire(key)
        return key

    def admit_line(self, key: Key) -> float:
        """Counts one more request of an admitted key; returns 0, or the seconds until its limits allow that.

        Raises Unauthorized if the key has been removed from the file.
        """
        if not any(known.sha256 == key.sha256 for known in self._keys):
            raise Unauthorized("the key is not valid any more")
        return self._rate_limiter.take(key)

    def charge(self, client: int, tokens: int) -> Key | None:
        """Counts tokens that were computed for a key's owner; returns the key, None if it has been removed."""
        key = self._clients.get(client)
        if key is not None:
            self._rate_limiter.charge(key, tokens)
        return key

    def release(self, key: Key) -> None:
        """Ends an admitted request."""
        self._rate_limiter.release(key)

    def reload_if_changed(self) -> None:
        """Reads the file again if it has changed. Called once a second."""
        found = fingerprint(self._path)
        if found == self._read and not self._failure:
            return
        try:
            self._use(read_keys(self._path))
            self._read, failure = found, ""
        except ConfigurationError as error:
            failure = str(error)
        if failure != self._failure:
            self._failure = failure
            log.error("%s; the keys read before stay valid", failure) if failure else log.info(
                "the keys are read again"
            )


def _secret(headers: Mapping[bytes, bytes]) -> str | None:
    scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and secret.strip():
        return secret.strip().decode("latin-1")
    return None

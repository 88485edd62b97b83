"""API keys, their scopes and limits, and how requests are authenticated by them, where the service requires keys.

They are kept in a file, written by `tagwerk keys`, as SHA-256 hashes, which suffice for keys of 256 random bits.
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, TypeAdapter, ValidationError

from service.engine.requests import ANONYMOUS
from service.errors import ConfigurationError, Forbidden, Unauthorized
from service.files import FileModel, fingerprint, first_fault, locked, write_whole
from service.paths import Scope, is_open, scope_of

if TYPE_CHECKING:
    from service.security.rate_limiter import RateLimiter

log = logging.getLogger("tagwerk.server")

PREFIX = "tagwerk_"
CLIENT_DIGITS = 15  # hexadecimal ones of a key's hash: the number fits 64 bits


class Key(FileModel):
    """An API key. Limits apply to all processes of a service together; None is no limit."""

    id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Its name, which is logged.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the key.")
    scopes: frozenset[Scope] = Field(description="What it is for: infer, feedback, admin.")
    requests_per_second: float | None = Field(None, gt=0, description="Requests a second, in the long run.")
    tokens_per_second: float | None = Field(None, gt=0, description="Tokens a second, in the long run.")
    concurrent: int | None = Field(None, ge=1, description="Requests at the same time.")


def client_of(key: Key | None) -> int:
    """Returns the client number of a key's owner; ANONYMOUS without a key."""
    return ANONYMOUS if key is None else int(key.sha256[:CLIENT_DIGITS], 16)


KEYS = TypeAdapter(tuple[Key, ...])  # the contents of a key file


def digest(secret: str) -> str:
    """Returns the hash that is stored for a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def find(keys: Iterable[Key], secret: str) -> Key | None:
    """Returns the key with this secret. Compares all keys, each in constant time."""
    wanted, found = digest(secret), None
    for key in keys:
        if hmac.compare_digest(key.sha256, wanted):
            found = key
    return found


def read_keys(path: Path) -> tuple[Key, ...]:
    """Reads a key file. Raises ConfigurationError."""
    try:
        keys = KEYS.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read as a file of keys: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigurationError(f"{path} cannot be read as a file of keys: {first_fault(error)}") from None
    if len({key.id for key in keys}) < len(keys):
        raise ConfigurationError(f"{path}: two keys have the same id")
    return keys


def add_key(path: Path, id: str, scopes: Sequence[str], **limits: float | None) -> str:
    """Adds a key to a file, creating it if needed; returns the key, which is not stored elsewhere.

    `limits` are those of `Key`. Raises ConfigurationError, NotPossible.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    try:
        key = Key.model_validate({"id": id, "sha256": digest(secret), "scopes": scopes} | limits)
    except ValidationError as error:
        raise ConfigurationError(first_fault(error)) from None
    with _changed(path) as keys:
        if id in keys:
            raise ConfigurationError(f"{path} has a key {id!r} already: remove it first")
        keys[id] = key
    return secret


def remove_key(path: Path, id: str) -> None:
    """Removes a key from a file. Raises ConfigurationError, NotPossible."""
    with _changed(path) as keys:
        if keys.pop(id, None) is None:
            raise ConfigurationError(f"{path} has no key {id!r}")


@contextmanager
def _changed(path: Path) -> Iterator[dict[str, Key]]:
    """Yields the keys of a file by their ids, under a lock; writes what the block has made of them."""
    try:
        with locked(path):
            keys = {key.id: key for key in read_keys(path)} if path.exists() else {}
            yield keys
            write_whole(path, KEYS.dump_json(tuple(keys.values()), indent=2, exclude_none=True) + b"\n", mode=0o600)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


class Authenticator:
    """Authenticates requests with the keys of a file, and enforces their limits. Rereads the file when it changes.

    A file that is missing or invalid changes nothing: the keys that were read last stay valid.
    """

    def __init__(self, path: Path, rate_limiter: "RateLimiter") -> None:
        """Raises ConfigurationError for an invalid file."""
        self._path = path
        self._rate_limiter = rate_limiter
        self._read = fingerprint(path)
        self._keys = {client_of(key): key for key in read_keys(path)}
        self._failure = ""  # the reason why the file cannot be read

    def admit(self, path: str, headers: Mapping[bytes, bytes]) -> Key | None:
        """Authenticates a request and counts it; returns its key for `release`, or None if it needs none.

        Raises Unauthorized, Forbidden, RateLimited.
        """
        if is_open(path):
            return None
        secret = _secret(headers)
        if secret is None:
            raise Unauthorized("the request has no API key: send it as Authorization: Bearer KEY")
        key = find(self._keys.values(), secret)
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
        if client_of(key) not in self._keys:
            raise Unauthorized("the key is not valid any more")
        return self._rate_limiter.take(key)

    def charge(self, client: int, tokens: int) -> Key | None:
        """Counts tokens that were computed for a key's owner; returns the key, None if it has been removed."""
        key = self._keys.get(client)
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
            self._keys = {client_of(key): key for key in read_keys(self._path)}
            self._read, failure = found, ""
        except ConfigurationError as error:
            failure = str(error)
        if failure and failure != self._failure:
            log.error("%s; the keys read before stay valid", failure)
        elif self._failure and not failure:
            log.info("the keys are read again")
        self._failure = failure


def _secret(headers: Mapping[bytes, bytes]) -> str | None:
    scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and secret.strip():
        return secret.strip().decode("latin-1")
    return None

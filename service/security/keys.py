"""API keys, their scopes and limits.

They are kept in a file, written by `tagwerk keys`, as SHA-256 hashes, which suffice for keys of 256 random bits.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import Field, RootModel, ValidationError

from service.engine.requests import ANONYMOUS
from service.errors import ConfigurationError
from service.files import FileModel, first_fault, locked, write_whole
from service.paths import Scope

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


class Keys(RootModel[tuple[Key, ...]]):
    """The contents of a key file."""


def digest(secret: str) -> str:
    """Returns the hash that is stored for a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def find(keys: Sequence[Key], secret: str) -> Key | None:
    """Returns the key with this secret. Compares all keys, each in constant time."""
    wanted, found = digest(secret), None
    for key in keys:
        if hmac.compare_digest(key.sha256, wanted):
            found = key
    return found


def read_keys(path: Path) -> tuple[Key, ...]:
    """Reads a key file. Raises ConfigurationError."""
    try:
        keys = Keys.model_validate_json(path.read_bytes()).root
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read as a file of keys: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigurationError(f"{path} cannot be read as a file of keys: {first_fault(error)}") from None
    if len({key.id for key in keys}) < len(keys):
        raise ConfigurationError(f"{path}: two keys have the same id")
    return keys


def add_key(
    path: Path,
    id: str,
    scopes: Sequence[str],
    rate: float | None = None,
    concurrent: int | None = None,
    tokens: float | None = None,
) -> str:
    """Adds a key to a file, creating it if needed; returns the key, which is not stored elsewhere.

    Raises ConfigurationError, NotPossible.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    try:
        limits = {"requests_per_second": rate, "tokens_per_second": tokens, "concurrent": concurrent}
        key = Key.model_validate({"id": id, "sha256": digest(secret), "scopes": scopes} | limits)
    except ValidationError as error:
        raise ConfigurationError(first_fault(error)) from None

    def add(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if any(one.id == id for one in keys):
            raise ConfigurationError(f"{path} has a key {id!r} already: remove it first")
        return *keys, key

    _change(path, add)
    return secret


def remove_key(path: Path, id: str) -> None:
    """Removes a key from a file. Raises ConfigurationError, NotPossible."""

    def remove(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        kept = tuple(key for key in keys if key.id != id)
        if len(kept) == len(keys):
            raise ConfigurationError(f"{path} has no key {id!r}")
        return kept

    _change(path, remove)


def _change(path: Path, change: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> None:
    """Changes the keys of a file under a lock."""
    try:
        with locked(path):
            keys = change(read_keys(path) if path.exists() else ())
            write_whole(path, Keys(keys).model_dump_json(indent=2, exclude_none=True) + "\n", mode=0o600)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error

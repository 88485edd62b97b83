"""`serving.json`: which versions were chosen to serve, and which model of each task is the default.

```json
{
  "models": {"tagger-en": {"version": "2", "canary": {"version": "3", "share": 0.1}}},
  "defaults": {"tag": "tagger-en"}
}
```

A file that holds the choices alone, by model, without the members `models` and `defaults`, is read, too.
"""

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from service.artifact.manifest import Task
from service.errors import ConfigurationError, NotPossible
from service.files import write_whole
from service.settings import Settings

SERVING = "serving.json"
MAX_BYTES = 1_048_576
LOCK_SECONDS = 5.0  # in which another process has written its change
LOCK_POLL_SECONDS = 0.01


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Canary(_Record):
    """A version that answers a part of the requests, to be watched."""

    version: str = Field(pattern=r"^[0-9]+$", description="Its number.", examples=["3"])
    share: float = Field(gt=0, le=1, description="Part of the requests that it answers, 0 to 1.", examples=[0.1])


class Choice(_Record):
    """What one model is to serve."""

    version: str | None = Field(
        None, pattern=r"^[0-9]+$", description="The version that serves; null is the newest.", examples=["2"]
    )
    canary: Canary | None = Field(None, description="A version that answers a part of the requests.", examples=[None])


class ServingConfig(_Record):
    """The contents of `serving.json`: the choices by model name, and the default model of each task."""

    models: Mapping[str, Choice] = {}
    defaults: Mapping[Task, str] = {}

    def choice(self, name: str) -> Choice:
        """Returns what was chosen for a model."""
        return self.models.get(name, Choice())


_choices_alone = TypeAdapter(dict[str, Choice])


def serving_path(settings: Settings) -> Path:
    """Returns where the choices are kept."""
    return Path(settings.serving_file) if settings.serving_file else settings.model_store / SERVING


def read_config(path: Path) -> ServingConfig:
    """Reads the file; no file is no choice. Raises ConfigurationError."""
    try:
        content = _read(path)
    except FileNotFoundError:
        return ServingConfig()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    try:
        return ServingConfig.model_validate_json(content)
    except ValidationError as error:
        try:
            return ServingConfig(models=_choices_alone.validate_json(content))
        except ValidationError:
            raise ConfigurationError(f"{path} cannot be read: {error}") from error


def change_config(
    path: Path, change: Callable[[ServingConfig], ServingConfig], lock_seconds: float = LOCK_SECONDS
) -> ServingConfig:
    """Reads the file, changes what it says and writes it, while no other process can do so; returns what was written.

    Raises ConfigurationError where it cannot be read, NotPossible where it cannot be written.
    """
    try:
        with _locked(path, lock_seconds):
            before = read_config(path)
            after = change(before)
            after = ServingConfig(
                models={name: choice for name, choice in after.models.items() if choice != Choice()},
                defaults=after.defaults,
            )
            if after != before:
                write_whole(path, after.model_dump_json(indent=2, exclude_none=True) + "\n")
            return after
    except OSError as error:
        reason = f"{path} cannot be written ({error.strerror}): set TAGWERK_SERVING_FILE to one that can"
        raise NotPossible(reason) from error


def _read(path: Path) -> bytes:
    # A pipe in its place is not waited for. A symbolic link is followed: that is how Kubernetes mounts a file.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(f"{path} has more than {MAX_BYTES} bytes")
    return content


@contextmanager
def _locked(path: Path, seconds: float) -> Iterator[None]:
    """Holds a lock beside a file for the block. Raises OSError, or NotPossible where another process keeps it."""
    place, end = path.with_name(f".{path.name}.lock"), time.monotonic() + seconds
    try:
        lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError:  # it is another user's; a lock on what is open for reading does on a local file system
        lock = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise NotPossible(f"another process is changing {path}: try again") from None
                time.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(lock)  # which gives the lock back

"""The serving config, `serving.json`: which versions serve, and the default model of each task.

```json
{
  "models": {"tagger-en": {"version": "2", "canary": {"version": "3", "share": 0.1}}, "tagger-sv": {"load": false}},
  "defaults": {"tag": "tagger-en"}
}
```

It is in the model store, or where TAGWERK_SERVING_FILE says. As long as there is no file at that place, the store's
file applies; the first change writes one there.
"""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from service.artifact.manifest import LEMMATIZE, TaskName
from service.errors import ConfigurationError, NotPossible
from service.files import LOCK_SECONDS, FileModel, first_fault, locked, write_whole
from service.settings import Settings

SERVING = "serving.json"
MAX_BYTES = 1_048_576


class Canary(FileModel):
    """A version that serves a share of the requests on trial."""

    version: str = Field(pattern=r"^[0-9]+$", description="Its number.", examples=["3"])
    share: float = Field(gt=0, le=1, description="Part of the requests that it answers, 0 to 1.", examples=[0.1])


class ModelServing(FileModel):
    """The serving config of one model."""

    version: str | None = Field(
        None, pattern=r"^[0-9]+$", description="The version that serves; null is the newest.", examples=["2"]
    )
    canary: Canary | None = Field(None, description="A version that answers a part of the requests.", examples=[None])
    load: Literal[False] | None = Field(
        None, description="False: only services whose TAGWERK_LOAD names the model load it.", examples=[None]
    )

    def __str__(self) -> str:
        if self.load is False:
            return "no version, unless TAGWERK_LOAD names the model"
        serving = "the newest version" if self.version is None else f"version {self.version}"
        canary = self.canary
        return f"{serving}, {canary.share:.0%} of the requests to {canary.version}" if canary else serving


class ServingConfig(FileModel):
    """The contents of `serving.json`: the serving config of each model, and the default model of each task."""

    models: Mapping[str, ModelServing] = {}
    defaults: Mapping[TaskName, str] = {}

    @field_validator("defaults", mode="before")
    @classmethod
    def _without_lemmatizer(cls, defaults: Any) -> Any:
        """Leaves out the default of the task that lemmas were."""
        return {k: v for k, v in defaults.items() if k != LEMMATIZE} if isinstance(defaults, dict) else defaults

    def of_model(self, name: str) -> ModelServing:
        """Returns the serving config of a model."""
        return self.models.get(name, ModelServing())


def serving_path(settings: Settings) -> Path:
    """Returns the path of the serving config."""
    return Path(settings.serving_file) if settings.serving_file else settings.model_store / SERVING


def read_serving(settings: Settings) -> ServingConfig:
    """Reads the serving config; where there is no file, the model store's, or an empty one.

    Raises ConfigurationError.
    """
    for path in (serving_path(settings), settings.model_store / SERVING):
        try:
            return ServingConfig.model_validate_json(_read(path))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error}") from error
        except ValidationError as error:
            raise ConfigurationError(f"{path} cannot be read: {first_fault(error)}") from None
    return ServingConfig()


def change_serving(
    settings: Settings, change: Callable[[ServingConfig], ServingConfig], lock_seconds: float = LOCK_SECONDS
) -> ServingConfig:
    """Changes the serving config under a lock; returns the new one.

    Raises ConfigurationError if it cannot be read, NotPossible if it cannot be written.
    """
    path = serving_path(settings)
    try:
        with locked(path, lock_seconds):
            before = read_serving(settings)
            after = change(before)
            models = {name: model for name, model in after.models.items() if model != ModelServing()}
            after = ServingConfig(models=models, defaults=after.defaults)
            if after != before:
                write_whole(path, after.model_dump_json(indent=2, exclude_none=True) + "\n")
            return after
    except OSError as error:
        reason = f"{path} cannot be written ({error.strerror}): set TAGWERK_SERVING_FILE to a file that can"
        raise NotPossible(reason) from error


def _read(path: Path) -> bytes:
    # O_NONBLOCK: does not wait for a pipe. Symbolic links are followed: Kubernetes mounts files that way.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(f"{path} has more than {MAX_BYTES} bytes")
    return content

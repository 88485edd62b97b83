"""Which versions of each model are loaded, and which share of the requests each has.

By default the newest sound version of a model serves. `serving.json` says otherwise, model by model; `tagwerk models`
and the admin route write it, and every engine that uses the store follows it:

```json
{"tagger-en": {"version": "2", "canary": {"version": "3", "share": 0.1}}}
```
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from service.engine.protocol import ModelKey, ModelState, State
from service.errors import ConfigurationError, ModelNotFound, NotPossible
from service.files import write_whole
from service.registry import ModelVersion, Registry
from service.settings import Settings

SERVING = "serving.json"


class Canary(BaseModel):
    """A version that answers a part of the requests, to be watched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str = Field(pattern=r"^[0-9]+$", description="Its number.", examples=["3"])
    share: float = Field(gt=0, le=1, description="Part of the requests that it answers, 0 to 1.", examples=[0.1])


class Choice(BaseModel):
    """What one model is to serve."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str | None = Field(
        None, pattern=r"^[0-9]+$", description="The version that serves; null is the newest.", examples=["2"]
    )
    canary: Canary | None = Field(None, description="A version that answers a part of the requests.", examples=[None])


class Choices(RootModel[dict[str, Choice]]):
    """The choices by model name: the contents of `serving.json`."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is to be loaded, with the share of each version in the requests for its model; and what cannot be."""

    shares: Mapping[ModelKey, float]
    refused: tuple[ModelState, ...]


def serving_path(settings: Settings) -> Path:
    """Returns where the choices are kept."""
    return Path(settings.serving_file) if settings.serving_file else settings.model_store / SERVING


def read_choices(path: Path) -> dict[str, Choice]:
    """Reads the choices; no file is no choice. Raises ConfigurationError."""
    try:
        return Choices.model_validate_json(path.read_bytes()).root
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def write_choices(path: Path, choices: Mapping[str, Choice]) -> None:
    """Writes the choices. Raises NotPossible where the place cannot be written."""
    kept = {name: choice for name, choice in choices.items() if choice != Choice()}
    content = Choices(kept).model_dump_json(indent=2, exclude_none=True) + "\n"
    try:
        write_whole(path, content)
    except OSError as error:
        reason = f"{path} cannot be written ({error.strerror}): set TAGWERK_SERVING_FILE to one that can"
        raise NotPossible(reason) from error


def resolve(registry: Registry, choices: Mapping[str, Choice], settings: Settings) -> Serving:
    """Returns what is to be served, of what is sound."""
    shares: dict[ModelKey, float] = {}
    refused: dict[ModelKey, str] = {}
    pins = dict(pin.rsplit("/", 1) for pin in settings.pins)
    for name, keys in registry.keys().items():
        choice = choices.get(name, Choice())
        if name in pins:
            choice = Choice(version=pins[name])
        shares |= _resolve_model(registry, keys, choice, settings.keep_versions, refused)
    states = (ModelState(key, State.REFUSED, reason, 0.0) for key, reason in refused.items())
    return Serving(shares, tuple(sorted(states, key=lambda state: str(state.key))))


def _resolve_model(
    registry: Registry, keys: list[ModelKey], choice: Choice, keep: int, refused: dict[ModelKey, str]
) -> dict[ModelKey, float]:
    def sound(version: str) -> bool:
        key = ModelKey(keys[0].name, version)
        fault = registry.fault(key) if key in keys else "it is not in the store"
        if fault is not None:
            refused[key] = fault
        return fault is None

    canary = choice.canary
    versions = [key.version for key in keys if canary is None or key.version != canary.version]
    serving = next(filter(sound, in_order(versions, choice.version)), None)
    loaded = [serving] if serving is not None else []
    loaded += islice(filter(sound, (v for v in versions if v not in loaded)), keep - 1) if loaded else []
    shares = dict.fromkeys(loaded, 0.0)
    if canary is not None and sound(canary.version):
        shares[canary.version] = canary.share if loaded else 1.0
    if serving is not None:
        shares[serving] = 1.0 - sum(shares.values())
    return {ModelKey(keys[0].name, version): share for version, share in shares.items()}


def served(settings: Settings) -> list[ModelVersion]:
    """Returns the versions that serve. Raises ConfigurationError."""
    registry = Registry(settings.model_store, settings.model_signers)
    serving = resolve(registry, read_choices(serving_path(settings)), settings)
    return [registry.read(key) for key, share in serving.shares.items() if share]


def in_order(versions: Sequence[str], wished: str | None) -> list[str]:
    """Returns versions as they are to be tried: the one that is wished for, those before it, those after it."""
    if wished is None:
        return list(versions)
    before = [version for version in versions if int(version) < int(wished)]
    return [wished, *before, *(version for version in versions if int(version) > int(wished))]


class Desk:
    """Changes what a model is to serve. Each change is written at once; the engines follow at their next look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = serving_path(settings)
        self._registry = Registry(settings.model_store, settings.model_signers)

    def use(self, name: str, version: str | None) -> Choice:
        """Serves a version from now on; None the newest. Raises ModelNotFound, NotPossible."""
        self._check(name, version)
        return self._write(name, Choice(version=version))

    def roll_back(self, name: str) -> Choice:
        """Serves the sound version before the one that serves. Raises ModelNotFound, NotPossible."""
        self._check(name)
        serving = self._serving(name)
        for key in self._registry.keys()[name]:
            if serving is not None and int(key.version) < int(serving) and self._registry.fault(key) is None:
                return self._write(name, Choice(version=key.version))
        raise ModelNotFound(f"there is no sound version of {name} before {serving}")

    def canary(self, name: str, version: str, share: float) -> Choice:
        """Gives a version a share of the requests, the rest to the one that serves now; 0 ends that.

        The version need not be there yet. Raises ModelNotFound, NotPossible.
        """
        self._check(name)
        serving = self._serving(name, but=version)
        canary = Canary(version=version, share=share) if share else None
        return self._write(name, Choice(version=serving, canary=canary))

    def _serving(self, name: str, but: str | None = None) -> str | None:
        """Returns the version that answers what no canary does."""
        choice = Choice(version=read_choices(self._path).get(name, Choice()).version)
        keys = [key for key in self._registry.keys()[name] if key.version != but]
        shares = _resolve_model(self._registry, keys, choice, 1, {}) if keys else {}
        return next((key.version for key in shares), None)

    def _check(self, name: str, version: str | None = None) -> None:
        keys = self._registry.keys()
        if name not in keys:
            raise ModelNotFound(f"no model {name!r} is in the store; there is: {', '.join(keys) or 'none'}")
        versions = [key.version for key in keys[name]]
        if version is not None and version not in versions:
            raise ModelNotFound(f"{name} has no version {version!r} in the store; there is: {', '.join(versions)}")

    def _write(self, name: str, choice: Choice) -> Choice:
        if any(pin.startswith(f"{name}/") for pin in self._settings.pins):
            raise NotPossible(f"TAGWERK_PINS says which version of {name} serves")
        write_choices(self._path, read_choices(self._path) | {name: choice})
        return choice

"""Determines which versions of each model are loaded, their shares of requests, and the default models of tasks.

By default a model's newest valid version serves. `serving.json`, written by `tagwerk models` and the admin route,
overrides that per model; all services that use the store follow it.

A task's default model serves requests that name none. If none is set, it becomes the first by name of the models that
serve, and stays the default whatever is added to the store, until another is set.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from service.artifact.manifest import ModelVersion, TaskName
from service.errors import ModelNotFound, NotPossible
from service.settings import Settings
from service.store.registry import NOT_FOUND, Registry
from service.store.serving_config import Canary, ModelServing, ServingConfig, change_serving, read_serving
from service.types import ModelKey


@dataclass(frozen=True, slots=True)
class Serving:
    """The versions to load, each version's share of its model's requests, and why versions are refused.

    `defaults` has the default model of each task, loaded or not; `about` the task and the
    description of each version to load; `awaited` the canaries that are not in the store yet.
    """

    shares: Mapping[ModelKey, float]
    refused: Mapping[ModelKey, str]
    defaults: Mapping[TaskName, str]
    about: Mapping[ModelKey, tuple[TaskName | None, str | None]] = field(default_factory=dict)
    awaited: tuple[ModelKey, ...] = ()


def resolve(
    registry: Registry, config: ServingConfig, known: Mapping[TaskName, str] | None = None, *, every_model: bool = False
) -> Serving:
    """Determines which valid versions should serve. `known` are the defaults determined before.

    Of a registry that is limited to some models, all serve, and defaults are among them. Of another one, all serve that
    the serving config does not exclude, or with `every_model` all.

    Raises OSError if the store cannot be listed.
    """
    shares: dict[ModelKey, float] = {}
    refused: dict[ModelKey, str] = {}
    in_store = registry.keys()
    for name, keys in in_store.items():
        chosen = config.of_model(name)
        if every_model or registry.only or chosen.load is None:
            shares |= _resolve_model(registry, keys, chosen, refused)
    checks = [(key, registry.check(key)) for key in sorted(shares)]
    about = {key: (check.task, check.description) for key, check in checks}
    first: dict[TaskName, str] = {}
    for key, (task, _) in about.items():
        if task is not None:
            first.setdefault(task, key.name)
    configured = dict(known or {}) | dict(config.defaults)
    defaults = first | {task: name for task, name in configured.items() if not registry.only or name in registry.only}
    canaries = [ModelKey(name, one.canary.version) for name, one in config.models.items() if one.canary]
    awaited = tuple(key for key in canaries if key not in in_store.get(key.name, ()))
    return Serving(shares, dict(sorted(refused.items())), defaults, about, awaited)


def _resolve_model(
    registry: Registry, keys: list[ModelKey], config: ModelServing, refused: dict[ModelKey, str]
) -> dict[ModelKey, float]:
    """Returns the shares of a model's versions, of which it has `keys`; adds to `refused` why others have none."""

    def valid(key: ModelKey) -> bool:
        fault = registry.fault(key) if key in keys else NOT_FOUND
        if fault is not None:
            refused[key] = fault
        return fault is None

    name = keys[0].name
    canary = ModelKey(name, config.canary.version) if config.canary else None
    order = [key for key in keys if key != canary]  # newest first
    if (chosen := config.version) is not None:  # then older ones, then newer ones
        order = [ModelKey(name, chosen), *sorted(order, key=lambda key: int(key.version) > int(chosen))]
    serving = next(filter(valid, order), None)
    shares = {serving: 1.0} if serving is not None else {}
    if config.canary and canary in keys and valid(canary):
        share = config.canary.share if shares else 1.0
        shares = dict.fromkeys(shares, 1.0 - share) | {canary: share}
    return shares


def write_defaults(settings: Settings, serving: Serving, config: ServingConfig) -> None:
    """Writes new default models to `serving.json`, unless another process has set them first.

    A service that loads only some of the models writes none: other services may load others.

    Raises NotPossible if it cannot be written, ConfigurationError if it cannot be read.
    """
    if not settings.load and serving.defaults.keys() - config.defaults.keys():

        def add(before: ServingConfig) -> ServingConfig:
            return before.model_copy(update={"defaults": dict(serving.defaults) | dict(before.defaults)})

        change_serving(settings, add, lock_seconds=0)


def served(settings: Settings, *, every_model: bool = False) -> tuple[list[ModelVersion], dict[str, str]]:
    """Returns the versions that serve, default models first, and the default of each task; see `resolve`.

    Raises ConfigurationError, ArtifactError.
    """
    registry = Registry(settings.model_store, settings.model_signers, settings.load)
    serving = resolve(registry, read_serving(settings), every_model=every_model)
    defaults = set(serving.defaults.values())
    keys = sorted((key for key, share in serving.shares.items() if share), key=lambda key: key.name not in defaults)
    return [registry.read(key) for key in keys], dict(serving.defaults.items())


class ServingController:
    """Changes which versions serve. Writes each change at once; services apply it at their next poll.

    Raises ModelNotFound for what is not in the store, NotPossible for an invalid version or if the change cannot be
    written. Versions are verified before the lock is taken.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._registry = Registry(settings.model_store, settings.model_signers)

    def change(self, name: str, action: str, version: str | None, share: float) -> ModelServing:
        """Makes the change of this name: use, rollback, canary or default."""
        match action:
            case "use":
                return self.use(name, version)
            case "rollback":
                return self.roll_back(name)
            case "canary":
                return self.canary(name, version or "", share)
        return self.make_default(name)[1]

    def use(self, name: str, version: str | None) -> ModelServing:
        """Makes a version serve; None means the newest valid one, also in the future."""
        self.check(name, version)
        return self._change_model(name, lambda _: ModelServing(version=version))

    def roll_back(self, name: str) -> ModelServing:
        """Makes the valid version before the current one serve."""
        self.check(name)

        def before(config: ModelServing) -> ModelServing:
            serving = self._serving(name, config)
            for key in self._registry.keys()[name]:
                if serving is not None and int(key.version) < int(serving) and self._registry.fault(key) is None:
                    return ModelServing(version=key.version)
            raise ModelNotFound(f"there is no valid version of {name} before {serving}")

        return self._change_model(name, before)

    def canary(self, name: str, version: str, share: float) -> ModelServing:
        """Gives a version a share of the requests, and the current version the rest; 0 ends the canary.

        The version need not be in the store yet.
        """
        self.check(name, version if share and self.has(name, version) else None)

        def begin(config: ModelServing) -> ModelServing:
            serving = self._serving(name, config, excluded=version)
            return ModelServing(version=serving, canary=Canary(version=version, share=share) if share else None)

        return self._change_model(name, begin)

    def make_default(self, name: str) -> tuple[TaskName, ModelServing]:
        """Makes a model the default of its task; returns the task, and what the model serves."""
        self.check(name)
        serving = self.serving(name)
        task = self._registry.check(ModelKey(name, serving)).task if serving is not None else None
        if task is None:
            raise NotPossible(f"no version of {name} in the store is valid, so its task is not known")

        def change(config: ServingConfig) -> ServingConfig:
            loaded = config.of_model(name).model_copy(update={"load": None})
            models, defaults = {**config.models, name: loaded}, {**config.defaults, task: name}
            return config.model_copy(update={"models": models, "defaults": defaults})

        return task, change_serving(self._settings, change).of_model(name)

    def has(self, name: str, version: str) -> bool:
        """Returns whether a version is in the store, valid or not."""
        return ModelKey(name, version) in self._registry.keys().get(name, [])

    def serving(self, name: str) -> str | None:
        """Returns the version that serves besides a canary; None if the model has no valid version."""
        return self._serving(name, read_serving(self._settings).of_model(name))

    def _serving(self, name: str, config: ModelServing, excluded: str | None = None) -> str | None:
        keys = [key for key in self._registry.keys()[name] if key.version != excluded]
        shares = _resolve_model(self._registry, keys, ModelServing(version=config.version), {}) if keys else {}
        return next((key.version for key in shares), None)

    def check(self, name: str, version: str | None = None) -> None:
        """Verifies a version, or the ones that may serve. Raises ModelNotFound, or NotPossible for an invalid one."""
        keys = self._registry.keys()
        if name not in keys:
            raise ModelNotFound(f"no model {name!r} is in the store; there is: {', '.join(keys) or 'none'}")
        versions = [key.version for key in keys[name]]
        if version is None:
            self.serving(name)
        elif version not in versions:
            raise ModelNotFound(f"{name} has no version {version!r} in the store; there is: {', '.join(versions)}")
        elif fault := self._registry.fault(ModelKey(name, version)):
            raise NotPossible(f"{name}/{version} cannot serve: {fault}")

    def _change_model(self, name: str, change_model: Callable[[ModelServing], ModelServing]) -> ModelServing:
        def change(config: ServingConfig) -> ServingConfig:
            return config.model_copy(update={"models": {**config.models, name: change_model(config.of_model(name))}})

        return change_serving(self._settings, change).of_model(name)

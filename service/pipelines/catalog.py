"""Finds the model version and its task for a request."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from service.artifact.version import ModelVersion
from service.errors import ArtifactError, EngineUnavailable, ModelNotFound
from service.store.loading import AnyTask, load_version, make_task
from service.tasks.generation import TextGeneration
from service.tasks.lemmatization import Lemmatization
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging
from service.text.languages import make_tokenizer
from service.text.tokenizer import Tokenizer
from service.types import ModelKey, ModelState, State

log = logging.getLogger("tagwerk.api")

T = TypeVar("T", Tagging, Sentiment, TextGeneration, Lemmatization)
Built = tuple[AnyTask, Tokenizer] | ArtifactError  # the error if the task cannot be built


class Catalog:
    """The versions of the engine: their states, and the tasks of those that are ready.

    Attributes:
        loading: the tasks of which models are being loaded and none is ready.
        unread: the reasons, of versions that only the engine can read.
    """

    def __init__(
        self,
        store: Path,
        draw: Callable[[], float] = random.random,
        read: Callable[[Path], ModelVersion] = partial(load_version, whole=False),  # noqa: B008 (stateless)
    ) -> None:
        """`draw` returns numbers from 0 to 1, which distribute requests over versions; `read` reads a version."""
        self._store = store
        self._draw = draw
        self._read = read
        self._states: dict[ModelKey, ModelState] = {}
        self._tasks: dict[ModelKey, AnyTask] = {}
        self._ready: list[AnyTask] = []  # by name, the newest version first
        self._of_kind: dict[type, list[Any]] = {}  # cache by type
        self._lemmatizers: dict[ModelKey, Lemmatization | None] = {}  # cache by tagger
        self._tokenizers: dict[ModelKey, Tokenizer] = {}
        self.loading: frozenset[str] = frozenset()
        self.unread: dict[ModelKey, str] = {}
        self._builds: dict[ModelKey, asyncio.Future[Built]] = {}  # in progress, in threads
        self._newest: object = None  # identifies the latest report

    def update(self, states: Sequence[ModelState]) -> None:
        """Applies the engine's report: builds the tasks of new versions, then offers those that are ready."""
        self._newest = None
        self._switch(states, {key: self._build(key) for key in self._new(states)})

    async def follow(self, states: Sequence[ModelState]) -> None:
        """Applies the engine's report like `update`, but reads new versions in a thread; changes nothing until then.

        A later report supersedes one whose versions are still being read.
        """
        self._newest = report = object()
        loop = asyncio.get_running_loop()
        for key in self._new(states):
            if key not in self._builds:
                self._builds[key] = loop.run_in_executor(None, self._build, key)
        builds = {key: self._builds[key] for key in self._new(states)}
        if builds:
            await asyncio.wait(builds.values())
        for key, build in builds.items():
            if self._builds.get(key) is build:
                del self._builds[key]
        if self._newest is report:
            self._switch(states, {key: build.result() for key, build in builds.items()})

    def _new(self, states: Sequence[ModelState]) -> list[ModelKey]:
        """Returns the versions whose tasks have to be built."""
        return [s.key for s in states if s.state is not State.REFUSED and s.key not in self._tasks]

    def _build(self, key: ModelKey) -> Built:
        """Reads a version and builds its task and tokenizer; returns the error if that fails for any reason."""
        try:
            version = self._read(self._store / key.name / key.version)
            return make_task(version), make_tokenizer(version.manifest.tokenizer, version.segmenter)
        except ArtifactError as error:
            return error
        except Exception as error:
            return ArtifactError(f"it cannot be built: {type(error).__name__}: {error}")

    def _switch(self, states: Sequence[ModelState], builds: Mapping[ModelKey, Built]) -> None:
        """Replaces all states, tasks and tokenizers at once; `builds` are the new ones."""
        found = {state.key: state for state in sorted(states, key=_order)}
        tasks: dict[ModelKey, AnyTask] = {}
        tokenizers: dict[ModelKey, Tokenizer] = {}
        unread: dict[ModelKey, str] = {}
        for key, state in found.items():
            if state.state is State.REFUSED:
                continue
            built = (self._tasks[key], self._tokenizers[key]) if key in self._tasks else builds[key]
            if isinstance(built, ArtifactError):
                unread[key] = str(built)
                found[key] = replace(state, state=State.REFUSED, reason=str(built), share=0.0)
                if self.unread.get(key) != unread[key]:
                    log.error("refused %s here, though the engine serves it: %s", key, built)
            else:
                tasks[key], tokenizers[key] = built
        self._states, self._tasks, self._tokenizers, self.unread = found, tasks, tokenizers, unread
        self._ready = [task for key, task in tasks.items() if found[key].state is State.READY]
        starting = {t.version.manifest.task for key, t in tasks.items() if found[key].state is State.STARTING}
        self.loading = frozenset(starting - {task.version.manifest.task for task in self._ready})
        self._of_kind, self._lemmatizers = {}, {}

    def find(self, kind: type[T], name: str | None, language: str | None = None) -> T:
        """Returns the task of a type and model: `name` or `name/version`; by default, the default model.

        With a `language` and no name, returns a model of that language: the default model if it is one, otherwise the
        first by name. Among several versions with shares, draws one. Raises ModelNotFound, or EngineUnavailable while
        models are being loaded.
        """
        candidates = self.all(kind)
        if name is None and language is not None:
            candidates = self._of_language(candidates, language.lower())
        elif name is None:
            candidates = [task for task in candidates if self._states[task.version.key].default]
        else:
            requested, _, version = name.partition("/")
            keys = {ModelKey(requested, version)} if version else {k for k in self._states if k.name == requested}
            candidates = [task for task in candidates if task.version.key in keys]
        if candidates:
            return self._share(candidates)
        self.check_loaded()
        if language is not None:
            offered = sorted(task.version.manifest.language for task in self.all(kind))
            raise not_found(f"model of the language {language!r} is loaded for this", offered)
        there = [task.version.key for task in self.all(kind)]
        names = [str(key) if name and "/" in name else key.name for key in there]
        if name is None and there:
            known = ", ".join(dict.fromkeys(names))
            raise ModelNotFound(f"the default model for this is not loaded; name one that is: {known}")
        wanted = "such model" if name is None else f"model {name[:100]!r}"
        raise not_found(f"{wanted} is loaded for this", names)

    def check_loaded(self) -> None:
        """Raises EngineUnavailable while models are being loaded."""
        if not self._states or any(state.state is State.STARTING for state in self._states.values()):
            raise EngineUnavailable("the models are still being loaded")

    def _of_language(self, tasks: Sequence[T], language: str) -> list[T]:
        """Returns the tasks of a primary language: first those of the whole tag, among them first the default."""

        def order(task: T) -> tuple[bool, bool]:
            return task.version.manifest.language.lower() != language, not self._states[task.version.key].default

        primary = language.partition("-")[0]
        same = (task for task in tasks if task.version.manifest.language.lower().partition("-")[0] == primary)
        return sorted(same, key=order)

    def _share(self, tasks: list[T]) -> T:
        """Draws one of the first model's versions by their shares."""
        if len(tasks) == 1:
            return tasks[0]
        tasks = [task for task in tasks if task.version.key.name == tasks[0].version.key.name]
        shares = [self._states[task.version.key].share for task in tasks]
        left = self._draw() * sum(shares)
        for task, share in zip(tasks, shares, strict=True):
            left -= share
            if left < 0:
                return task
        return tasks[0]

    def all(self, kind: type[T]) -> Sequence[T]:
        """Returns the ready tasks of a type, by model name, each model's newest version first."""
        if kind not in self._of_kind:
            self._of_kind[kind] = [task for task in self._ready if isinstance(task, kind)]
        return self._of_kind[kind]

    def lemmatizer(self, tagger: Tagging) -> Lemmatization | None:
        """Returns the lemmatizer trained with a tagger's tags, if there is one; among several, the default."""
        key = tagger.version.key
        if key not in self._lemmatizers:
            suited = [task for task in self.all(Lemmatization) if task.suits(tagger.version)]
            states = {task: self._states[task.version.key] for task in suited}
            self._lemmatizers[key] = min(
                suited, key=lambda task: (not states[task].default, not states[task].share), default=None
            )
        return self._lemmatizers[key]

    def tokenizer(self, version: ModelVersion) -> Tokenizer:
        """Returns the tokenizer that a version has learned with."""
        return self._tokenizers[version.key]

    def is_default(self, version: ModelVersion) -> bool:
        """Returns whether a version serves requests of its task that name no model."""
        same = [t.version.key for t in self._ready if t.version.manifest.task == version.manifest.task]
        same = [key for key in same if self._states[key].default]
        key = version.key
        return key in same and key.name == same[0].name and (len(same) == 1 or self._states[key].share > 0)

    @property
    def states(self) -> list[ModelState]:
        """The states of all versions, by name, each model's newest first."""
        return list(self._states.values())

    def version(self, state: ModelState) -> ModelVersion | None:
        """Returns the version of a state; None if its folder could not be read."""
        task = self._tasks.get(state.key)
        return task.version if task is not None else None


def not_found(wanted: str, names: Iterable[str]) -> ModelNotFound:
    """Returns the error that there is no model as wanted, with the names of those that there are."""
    return ModelNotFound(f"no {wanted}; there is: {', '.join(dict.fromkeys(names)) or 'none'}")


def _order(state: ModelState) -> tuple[str, int]:
    return state.key.name, -int(state.key.version)

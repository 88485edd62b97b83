"""The tasks that the loaded model versions can do, and which version takes a request."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
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
from service.types import ModelKey, ModelState, State

log = logging.getLogger("tagwerk.api")

T = TypeVar("T", Tagging, Sentiment, TextGeneration, Lemmatization)
Built = AnyTask | ArtifactError


class Catalog:
    """The versions that the engine has: their states, and the tasks of those that are ready."""

    def __init__(
        self,
        store: Path,
        length_buckets: Sequence[int] = (),
        draw: Callable[[], float] = random.random,
        read: Callable[[Path], ModelVersion] = partial(load_version, whole=False),  # noqa: B008 (it has no state)
    ) -> None:
        """`length_buckets` are the engine's for all models; each has its own if they are empty.

        `draw` gives the numbers from 0 to 1 by which requests are shared between versions, `read` reads a version.
        """
        self._store = store
        self._length_buckets = length_buckets
        self._draw = draw
        self._read = read
        self._states: dict[ModelKey, ModelState] = {}
        self._tasks: dict[ModelKey, AnyTask] = {}
        self._ready: list[AnyTask] = []  # by name, the newest version first
        self._of_kind: dict[type, list[Any]] = {}  # of those, as far as they were looked for
        self._lemmatizers: dict[ModelKey, Lemmatization | None] = {}  # by tagger, as far as they were looked for
        self.unread: dict[ModelKey, str] = {}  # versions that the engine serves and that cannot be read here, with why
        self._builds: dict[ModelKey, asyncio.Future[Built]] = {}  # in threads
        self._newest: object = None  # of the reports

    def update(self, states: Sequence[ModelState]) -> None:
        """Takes the states that the engine reports, and offers the tasks of the versions that are ready."""
        self._newest = None
        self._switch(states, {key: self._build(key) for key in self._new(states)})

    async def follow(self, states: Sequence[ModelState]) -> None:
        """Does what `update` does, but reads new versions in a thread; until they are read, all stays as it is.

        A later report takes the place of one whose versions are still being read.
        """
        self._newest = mine = object()
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
        if self._newest is mine:
            self._switch(states, {key: build.result() for key, build in builds.items()})

    def _new(self, states: Sequence[ModelState]) -> list[ModelKey]:
        """Returns the versions whose tasks are wanted and not there."""
        return [s.key for s in states if s.state is not State.REFUSED and s.key not in self._tasks]

    def _build(self, key: ModelKey) -> Built:
        """Reads a version and builds its task; returns what is wrong where that fails, whatever it is."""
        try:
            return make_task(self._read(self._store / key.name / key.version), self._length_buckets)
        except ArtifactError as error:
            return error
        except Exception as error:
            return ArtifactError(f"it cannot be built: {type(error).__name__}: {error}")

    def _switch(self, states: Sequence[ModelState], builds: Mapping[ModelKey, Built]) -> None:
        """Replaces all states and tasks at once; `builds` are those that are new."""
        found = {state.key: state for state in sorted(states, key=_order)}
        tasks: dict[ModelKey, AnyTask] = {}
        unread: dict[ModelKey, str] = {}
        for key, state in found.items():
            if state.state is State.REFUSED:
                continue
            built = self._tasks.get(key) or builds[key]
            if isinstance(built, ArtifactError):
                unread[key] = str(built)
                found[key] = replace(state, state=State.REFUSED, reason=str(built), share=0.0)
                if self.unread.get(key) != unread[key]:
                    log.error("refused %s here, though the engine serves it: %s", key, built)
            else:
                tasks[key] = built
        self._states, self._tasks, self.unread = found, tasks, unread
        self._ready = [task for key, task in tasks.items() if found[key].state is State.READY]
        self._of_kind, self._lemmatizers = {}, {}

    def find(self, kind: type[T], name: str | None) -> T:
        """Returns the task of that kind and model: its name, or name/version; by default that of the default model.

        Where several versions of a model have a share of its requests, it is drawn which of them takes this one.
        Raises ModelNotFound, or EngineUnavailable where the model may still come.
        """
        candidates = self.all(kind)
        if name is None:
            candidates = [task for task in candidates if self._states[task.version.key].default]
        else:
            requested, _, version = name.partition("/")
            keys = {ModelKey(requested, version)} if version else {k for k in self._states if k.name == requested}
            candidates = [task for task in candidates if task.version.key in keys]
        if candidates:
            return self._share(candidates)
        if not self._states or any(state.state is State.STARTING for state in self._states.values()):
            raise EngineUnavailable("the models are still being loaded")
        there = [task.version.key for task in self.all(kind)]
        names = ", ".join(dict.fromkeys(str(key) if name and "/" in name else key.name for key in there))
        if name is None and there:
            raise ModelNotFound(f"the default model for this is not loaded; name one that is: {names}")
        asked = "such model" if name is None else f"model {name[:100]!r}"
        raise ModelNotFound(f"no {asked} is loaded for this; there is: {names or 'none'}")

    def _share(self, tasks: list[T]) -> T:
        """Draws one of the versions of the first model by their shares."""
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
        """Returns the tasks of that kind that are ready, by model name, the newest version of each first."""
        if kind not in self._of_kind:
            self._of_kind[kind] = [task for task in self._ready if isinstance(task, kind)]
        return self._of_kind[kind]

    def lemmatizer(self, tagger: Tagging) -> Lemmatization | None:
        """Returns the lemmatizer that has learnt the tags of a tagger, if there is one; of several, the default."""
        key = tagger.version.key
        if key not in self._lemmatizers:
            suited = [task for task in self.all(Lemmatization) if task.suits(tagger.version)]
            states = {task: self._states[task.version.key] for task in suited}
            self._lemmatizers[key] = min(
                suited, key=lambda task: (not states[task].default, not states[task].share), default=None
            )
        return self._lemmatizers[key]

    def is_default(self, version: ModelVersion) -> bool:
        """True for a version that answers requests of its task that name no model."""
        same = [t.version.key for t in self._ready if t.version.manifest.task == version.manifest.task]
        same = [key for key in same if self._states[key].default]
        key = version.key
        return key in same and key.name == same[0].name and (len(same) == 1 or self._states[key].share > 0)

    @property
    def states(self) -> list[ModelState]:
        """The states of all versions, by name, the newest of each first."""
        return list(self._states.values())

    def version(self, state: ModelState) -> ModelVersion | None:
        """Returns the version of a state; None where its folder could not be read."""
        task = self._tasks.get(state.key)
        return task.version if task is not None else None


def _order(state: ModelState) -> tuple[str, int]:
    return state.key.name, -int(state.key.version)

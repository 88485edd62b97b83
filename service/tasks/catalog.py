"""The tasks that the loaded model versions can do, and which version takes a request."""

import logging
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from service.artifact import Task
from service.engine.protocol import ModelKey, ModelState, State
from service.errors import ArtifactError, EngineUnavailable, ModelNotFound
from service.registry import ModelVersion, read_version
from service.tasks.generation import TextGeneration
from service.tasks.lemmatization import Lemmatization
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging

log = logging.getLogger("tagwerk.api")

AnyTask = Tagging | Sentiment | TextGeneration | Lemmatization
T = TypeVar("T", Tagging, Sentiment, TextGeneration, Lemmatization)


class Catalog:
    """The versions that the engine has: their states, and the tasks of those that are ready."""

    def __init__(
        self,
        store: Path,
        length_buckets: Sequence[int] = (),
        draw: Callable[[], float] = random.random,
        read: Callable[[Path], ModelVersion] = read_version,
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
        self._lemmatizers: dict[ModelKey, Lemmatization | None] = {}  # by tagger, as far as they were looked for

    def update(self, states: Sequence[ModelState]) -> None:
        """Takes the states that the engine reports, and offers the tasks of the versions that are ready."""
        found = {state.key: state for state in sorted(states, key=_order)}
        known, self._tasks = self._tasks, {}
        for key, state in found.items():
            if state.state is State.REFUSED:
                continue
            try:
                self._tasks[key] = known.get(key) or self._make_task(self._read(self._store / key.name / key.version))
            except ArtifactError as error:
                log.error("%s is sound for the engine, but not here: %s", key, error)
                found[key] = ModelState(key, State.REFUSED, str(error), 0.0)
        self._states = found
        self._ready = [task for key, task in self._tasks.items() if found[key].state is State.READY]
        self._lemmatizers = {}

    def find(self, kind: type[T], name: str | None) -> T:
        """Returns the task of that kind and model: its name, or name/version; by default the first of its kind.

        Where several versions of a model have a share of its requests, it is drawn which of them takes this one.
        Raises ModelNotFound, or EngineUnavailable where the model may still come.
        """
        candidates = self.all(kind)
        if name is not None:
            wished, _, version = name.partition("/")
            keys = {ModelKey(wished, version)} if version else {k for k in self._states if k.name == wished}
            candidates = [task for task in candidates if task.version.key in keys]
        if candidates:
            return self._share(candidates)
        if not self._states or any(state.state is State.STARTING for state in self._states.values()):
            raise EngineUnavailable("the models are still being loaded")
        there = (task.version.key for task in self.all(kind))
        names = dict.fromkeys(str(key) if name and "/" in name else key.name for key in there)
        asked = "such model" if name is None else f"model {name[:100]!r}"
        raise ModelNotFound(f"no {asked} is loaded for this; there is: {', '.join(names) or 'none'}")

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

    def all(self, kind: type[T]) -> list[T]:
        """Returns the tasks of that kind that are ready, by model name, the newest version of each first."""
        return [task for task in self._ready if isinstance(task, kind)]

    def lemmatizer(self, tagger: Tagging) -> Lemmatization | None:
        """Returns the first lemmatizer that has learnt the tags of a tagger, if there is one, as it serves."""
        key = tagger.version.key
        if key not in self._lemmatizers:
            suited = [task for task in self.all(Lemmatization) if task.suits(tagger.version)]
            serving = (task for task in suited if self._states[task.version.key].share)
            self._lemmatizers[key] = next(serving, suited[0] if suited else None)
        return self._lemmatizers[key]

    def is_default(self, version: ModelVersion) -> bool:
        """True for a version that answers requests of its task that name no model."""
        same = [t.version.key for t in self._ready if t.version.manifest.task == version.manifest.task]
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

    def _make_task(self, version: ModelVersion) -> AnyTask:
        task: Task = version.manifest.task
        if task == "generate":
            return TextGeneration(version)
        if task == "lemmatize":
            return Lemmatization(version)
        longest = (self._length_buckets or version.manifest.length_buckets)[-1]
        return Tagging(version, longest) if task == "tag" else Sentiment(version, longest)


def _order(state: ModelState) -> tuple[str, int]:
    return state.key.name, -int(state.key.version)

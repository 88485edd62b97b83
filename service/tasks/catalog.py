"""The tasks that the loaded models can do, by model name."""

from collections.abc import Sequence
from typing import Any, TypeVar

from service.artifact import Task
from service.engine.protocol import ModelKey, ModelState, State
from service.errors import EngineUnavailable, ModelNotFound
from service.registry import ModelVersion
from service.tasks.generation import TextGeneration
from service.tasks.lemmatization import Lemmatization
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging

AnyTask = Tagging | Sentiment | TextGeneration | Lemmatization
T = TypeVar("T", Tagging, Sentiment, TextGeneration, Lemmatization)


class Catalog:
    """What is in the store: tasks for the versions that serve, and the states of all of them."""

    def __init__(
        self, versions: Sequence[ModelVersion], refused: Sequence[ModelState], length_buckets: Sequence[int] = ()
    ) -> None:
        """`length_buckets` are the engine's for all models; each has its own if they are empty."""
        self._versions = {version.key: version for version in versions}
        self._length_buckets = length_buckets
        self._states: dict[Any, ModelState] = {state.key: state for state in refused}
        self._states |= {key: ModelState(key, State.STARTING) for key in self._versions}
        self._tasks: dict[str, AnyTask] = {}
        self._lemmatizers: dict[ModelKey, Lemmatization | None] = {}  # by tagger, as far as they were looked for

    def update(self, states: Sequence[ModelState]) -> None:
        """Takes the states that the engine reports, and offers the tasks of the models that are ready."""
        self._states |= {state.key: state for state in states}
        ready = sorted((key for key, s in self._states.items() if s.state is State.READY), key=str)
        known = {task.version.key: task for task in self._tasks.values()}
        self._tasks = {key.name: known.get(key) or self._make_task(self._versions[key]) for key in ready}
        self._lemmatizers = {}

    def find(self, kind: type[T], name: str | None) -> T:
        """Returns the task of that kind and model name, or the first of its kind.

        Raises ModelNotFound, or EngineUnavailable where the model may still come.
        """
        candidates = self.all(kind)
        for task in candidates:
            if name is None or name == task.version.manifest.name:
                return task
        if any(state.state is State.STARTING for state in self._states.values()):
            raise EngineUnavailable("the models are still being loaded")
        names = [task.version.manifest.name for task in candidates]
        asked = "such model" if name is None else f"model {name!r}"
        raise ModelNotFound(f"no {asked} is loaded for this; there is: {', '.join(names) or 'none'}")

    def all(self, kind: type[T]) -> list[T]:
        """Returns the tasks of that kind, by model name."""
        return [task for task in self._tasks.values() if isinstance(task, kind)]

    def lemmatizer(self, tagger: Tagging) -> Lemmatization | None:
        """Returns the first lemmatizer that has learnt the tags of a tagger, if there is one."""
        key = tagger.version.key
        if key not in self._lemmatizers:
            suited = (task for task in self.all(Lemmatization) if task.suits(tagger.version))
            self._lemmatizers[key] = next(suited, None)
        return self._lemmatizers[key]

    def is_default(self, version: ModelVersion) -> bool:
        """True for the version that answers requests of its task that name no model."""
        same = [t for t in self._tasks.values() if t.version.manifest.task == version.manifest.task]
        return bool(same) and same[0].version is version

    @property
    def states(self) -> list[ModelState]:
        """The states of all versions, by name."""
        return sorted(self._states.values(), key=lambda state: str(state.key))

    def version(self, state: ModelState) -> ModelVersion | None:
        """Returns the version of a state; None where its folder could not be read."""
        return self._versions.get(state.key)

    def _make_task(self, version: ModelVersion) -> AnyTask:
        task: Task = version.manifest.task
        if task == "generate":
            return TextGeneration(version)
        if task == "lemmatize":
            return Lemmatization(version)
        longest = (self._length_buckets or version.manifest.length_buckets)[-1]
        return Tagging(version, longest) if task == "tag" else Sentiment(version, longest)

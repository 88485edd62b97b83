"""Finds the model version and its task for a request; gives tasks the dictionaries of their models."""

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from service.artifact.manifest import ModelVersion
from service.engine.loader import WarmUp
from service.errors import ConfigurationError, EngineUnavailable, ModelNotFound
from service.files import fingerprint
from service.settings import Settings
from service.tasks.dictionary import Dictionary, parse
from service.tasks.generation import TextGeneration
from service.tasks.requirements import AnyTask, make_task
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging
from service.telemetry.metrics import Metrics
from service.text.languages import make_tokenizer, primary
from service.text.tokenizer import Tokenizer
from service.types import ModelKey, ModelState, State

log = logging.getLogger("tagwerk.server")
CHECK_SECONDS = 1.0  # between checks whether a file has changed
MOST_BYTES = 16 * 2**20  # of a file
T = TypeVar("T", Tagging, Sentiment, TextGeneration)


class Dictionaries:
    """Gives tasks the dictionaries of their models, `<model>.tsv` in the folder of the settings, if they name one.

    A file that is not valid changes nothing: what was read before stays. If a file is removed, its replacements end.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.folder = Path(settings.overrides_dir) if settings.overrides_dir else None
        self._metrics = metrics
        self._read: dict[ModelKey, tuple[int, ...]] = {}  # the fingerprints of the files that have been read

    def update(self, tasks: Iterable[AnyTask]) -> None:
        """Gives tasks the dictionaries that are new or have changed. May be called from any thread."""
        for task in tasks:
            if self.folder is not None and isinstance(task, Tagging | Sentiment):
                self._update(task, self.folder / f"{task.version.key.name}.tsv")

    def _update(self, task: Tagging | Sentiment, path: Path) -> None:
        key, found = task.version.key, fingerprint(path)
        if found == self._read.get(key, ()):
            return
        self._read[key] = found
        if not found:
            task.dictionary = None
            log.info("%s: the dictionary %s is gone", key, path)
            return
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise ConfigurationError(f"more than {MOST_BYTES:,} bytes; right: fewer")
            upos = task.version.manifest.labels["upos"] if isinstance(task, Tagging) else None
            entries = parse(content.decode("utf-8-sig"), upos)
        except (OSError, UnicodeDecodeError, ConfigurationError) as error:
            stays = "what was read before stays" if task.dictionary else "nothing is replaced"
            log.error("%s, %s; %s", path, error, stays)
            return
        count = self._metrics.dictionary_words.labels(key.name).inc
        task.dictionary = Dictionary(entries, count) if entries else None
        log.info("%s: the dictionary %s is read, entries: %d", key, path, len(entries))


class Catalog:
    """The versions that this process has loaded: their states, tasks and tokenizers."""

    def __init__(self, dictionaries: Dictionaries) -> None:
        self._dictionaries = dictionaries
        self._states: dict[ModelKey, ModelState] = {}
        self._built: dict[ModelKey, tuple[AnyTask, Tokenizer]] = {}
        self._ready: list[AnyTask] = []  # by name, the newest version first
        self._found: dict[tuple[type, str | None], Any] = {}  # cache of what `find` returns every time

    def prepare(self, version: ModelVersion) -> WarmUp | None:
        """Builds a version's task and tokenizer; returns what fills the caches of a tagger.

        May be called from any thread. Raises ArtifactError, among others.
        """
        task = make_task(version)
        self._dictionaries.update([task])
        tokenizer = make_tokenizer(version.manifest.tokenizer, version.segmenter)
        self._built[version.key] = task, tokenizer
        return partial(task.warm_up, tokenizer) if isinstance(task, Tagging) else None

    async def watch_dictionaries(self) -> None:
        """Reads dictionaries again when they change, for ever; returns at once if there is no folder of them."""
        while self._dictionaries.folder is not None:
            await asyncio.sleep(CHECK_SECONDS)
            await asyncio.to_thread(self._dictionaries.update, self._ready)

    def update(self, states: Iterable[ModelState]) -> None:
        """Sets the states of all versions. Ready versions have been prepared before."""
        ordered = sorted(states, key=lambda state: (state.key.name, -int(state.key.version)))
        self._states = {state.key: state for state in ordered}
        ready = [key for key, state in self._states.items() if state.state is State.READY]
        self._ready = [self._built[key][0] for key in ready]
        self._found = {}

    def find(self, kind: type[T], name: str | None, language: str | None = None) -> T:
        """Returns the task of a type and model: `name` or `name/version`; by default, the default model.

        With a `language` and no name, returns a model of that language: the default model if it is one, otherwise the
        first by name. Among several versions with shares, draws one. Raises ModelNotFound, or EngineUnavailable while
        models are being loaded.
        """
        if language is None and (found := self._found.get((kind, name))) is not None:
            return cast(T, found)
        offered = candidates = self.all(kind)
        if name is None and language is not None:
            candidates = self._of_language(candidates, language.lower())
        elif name is None:
            candidates = [task for task in candidates if self._states[task.version.key].default]
        else:
            requested, _, version = name.partition("/")
            candidates = [task for task in candidates if task.version.key.name == requested]
            if version:
                key = ModelKey(requested, version)
                candidates = [task for task in candidates if task.version.key == key and self._states[key].named]
        if len(candidates) == 1 and language is None:
            self._found[kind, name] = candidates[0]
        if candidates:
            return self._share(candidates)
        self.check_loaded()
        if language is not None:
            languages = sorted(task.version.manifest.language for task in offered)
            raise not_found(f"model of the language {language!r} is loaded for this", languages)
        there = [task.version.key for task in offered]
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
        """Returns the tasks of a primary language: of this very tag before others, defaults before others."""

        def order(task: T) -> tuple[bool, bool]:
            return task.version.manifest.language.lower() != language, not self._states[task.version.key].default

        same = (task for task in tasks if primary(task.version.manifest.language) == primary(language))
        return sorted(same, key=order)

    def _share(self, tasks: list[T]) -> T:
        """Draws one of the first model's versions by their shares."""
        if len(tasks) == 1:
            return tasks[0]
        tasks = [task for task in tasks if task.version.key.name == tasks[0].version.key.name]
        shares = [self._states[task.version.key].share for task in tasks]
        return random.choices(tasks, shares)[0] if any(shares) else tasks[0]

    def all(self, kind: type[T]) -> Sequence[T]:
        """Returns the ready tasks of a type, by model name, each model's newest version first."""
        return [task for task in self._ready if isinstance(task, kind)]

    def languages(self, kind: type[T]) -> list[str]:
        """Returns the primary languages of the ready tasks of a type, "pt" of "pt-BR"."""
        return sorted({primary(task.version.manifest.language) for task in self.all(kind)})

    def tokenizer(self, version: ModelVersion) -> Tokenizer:
        """Returns the tokenizer that a version has learned with."""
        return self._built[version.key][1]

    @property
    def states(self) -> list[ModelState]:
        """The states of all versions, by name, each model's newest first."""
        return list(self._states.values())

    def version(self, key: ModelKey) -> ModelVersion | None:
        """Returns a version that has been prepared here; None for others."""
        built = self._built.get(key)
        return built[0].version if built is not None else None


def not_found(wanted: str, names: Iterable[str]) -> ModelNotFound:
    """Returns the error for a model that is not there; it lists the names of the models that are."""
    return ModelNotFound(f"no {wanted}; there is: {', '.join(dict.fromkeys(names)) or 'none'}")

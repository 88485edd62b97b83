"""Loads model versions: verifies each, then compiles and times a step of every batch size."""

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from service.artifact.version import ModelVersion
from service.backend.base import Backend, GenerationModel, SequenceModel
from service.backend.cache import NO_LOCKS, CompilationLocks
from service.engine.padding import Grid, full_rows
from service.engine.plan import StepTimes
from service.engine.priority import Call, call_directly
from service.engine.slots import Slots
from service.errors import ArtifactError, ConfigurationError, DeviceFailed, TagwerkError, is_machine_fault
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey

log = logging.getLogger("tagwerk.engine")

TASKS = ("tag", "classify", "generate")  # in the order in which their default models are loaded
MAX_WAITING_STREAMS = 256
# Of a prompt, per generation step. More read long prompts in fewer steps, and delay the texts that are being written.
PREFILL_TOKENS = 32
TIMINGS = 3  # measurements per step; the minimum counts


@dataclass(frozen=True, slots=True)
class Sequences:
    """A tagger or classifier, its batch sizes and length buckets, and its measured step times."""

    model: SequenceModel
    grid: Grid
    step_times: StepTimes
    executables: int

    def __str__(self) -> str:
        return f"{self.executables} executables"


@dataclass(frozen=True, slots=True)
class Generator:
    """A language model and its slots."""

    model: GenerationModel
    slots: Slots
    executables: int

    def __str__(self) -> str:
        return f"{self.executables} executables"


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How far the loading of a process's versions is.

    Attributes:
        key: the version that is being loaded.
        number: its number among the versions, from 1.
        versions: the number of all versions.
        compiled: its executables that are compiled.
        executables: all its executables; 0 before that is known.
    """

    key: ModelKey
    number: int
    versions: int
    compiled: int = 0
    executables: int = 0


class OnLoaded(Protocol):
    """Called in the loading thread with a model that has been loaded."""

    def __call__(self, key: ModelKey, model: Sequences | Generator, overlaps: bool, /) -> object:
        """`overlaps`: see `Backend`."""


class ModelLoading:
    """Loads the versions of a process, one after another."""

    def __init__(
        self,
        settings: Settings,
        versions: Sequence[ModelVersion],
        make_backend: Callable[[], Backend],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        *,
        prepare: Callable[[ModelVersion], object] = lambda version: None,
        call: Call = call_directly,
        on_progress: Callable[[LoadProgress], None] = lambda progress: None,
        on_unread: Callable[[ModelKey, str], None] = lambda key, reason: None,
        locks: CompilationLocks = NO_LOCKS,
    ) -> None:
        """`versions` are in the order in which to load them, see `loading_order`.

        Args:
            prepare: called with each version before it is offered; an error refuses the version.
            call: sets the priority of each load.
            on_progress: called before each version, and after each of its executables.
            on_unread: called before a version is refused for a fault of the machine, such as a full disk.
            locks: of several processes that share a cache of executables, one compiles a model, and the others read it.
        """
        self._settings = settings
        self._versions = {version.key: version for version in versions}
        self._make_backend = make_backend
        self._metrics = metrics
        self._clock = clock
        self._prepare = prepare
        self._call = call
        self._on_progress = on_progress
        self._on_unread = on_unread
        self._locks = locks
        self._stopped: Callable[[], bool] = lambda: False

    @property
    def versions(self) -> Sequence[ModelVersion]:
        """The versions to load."""
        return list(self._versions.values())

    def run(
        self, stopped: Callable[[], bool], on_loaded: OnLoaded, on_refused: Callable[[ModelKey, str], object]
    ) -> None:
        """Loads and compiles every version, until `stopped` returns True. A broken one is refused.

        Raises ConfigurationError.
        """
        self._stopped, started = stopped, self._clock()
        backend = self._make_backend()
        waiting = list(self._versions)
        served: list[str] = []
        while waiting and not stopped():
            with self._locks.first_free(waiting, stopped) as key:
                waiting.remove(key)
                number = len(self._versions) - len(waiting)
                try:
                    on_loaded(key, self._load_version(backend, key, number), backend.overlaps)
                    served.append(str(key))
                except ConfigurationError:
                    raise
                except Exception as error:  # one broken version does not keep the others from serving
                    known = error if isinstance(error, TagwerkError) else f"{type(error).__name__}: {error}"
                    reason = str(ArtifactError(str(known)))
                    if is_machine_fault(error):
                        log.error("cannot load %s: %s", key, reason)
                        self._on_unread(key, reason)
                    else:
                        log.error("refused %s: %s", key, reason)
                    on_refused(key, reason)
        if not stopped():
            cost = f"{self._clock() - started:.1f} s, {resident_megabytes():.0f} MB in all"
            log.info("ready on %s: %s; %s", backend.device, ", ".join(served) or "no model", cost)

    def _load_version(self, backend: Backend, key: ModelKey, number: int) -> Sequences | Generator:
        version, count = self._versions[key], len(self._versions)
        self._on_progress(LoadProgress(key, number, count))
        log.info("loads %s (%d of %d)", key, number, count)

        def on_compiled(compiled: int, executables: int) -> None:
            self._on_progress(LoadProgress(key, number, count, compiled, executables))

        begun = self._clock()
        load = partial(self.load, backend, version, on_compiled)
        try:
            model = self._call(load)
        except DeviceFailed:
            if not self._locks.remove_damaged_executables():
                raise
            model = self._call(load)
        self._prepare(version)
        seconds = self._clock() - begun
        self._metrics.model_info.labels(key.name, key.version).set(1)
        self._metrics.model_load_duration.labels(key.name, key.version).set(seconds)
        log.info("%s: %s, %.1f s; %.0f MB in all", key, model, seconds, resident_megabytes())
        return model

    def load(
        self, backend: Backend, version: ModelVersion, on_compiled: Callable[[int, int], None]
    ) -> Sequences | Generator:
        """Loads a version: checks its goldens, compiles and times its steps. Raises ArtifactError.

        Calls `on_compiled` with the number of compiled executables, and of all.
        """
        settings, manifest = self._settings, version.manifest
        if manifest.task == "generate":
            generator = backend.load_generation_model(version.folder, manifest)
            bounds = MAX_WAITING_STREAMS, settings.max_queue_tokens
            slots = Slots(settings.slots, PREFILL_TOKENS, *bounds)
            compiling = generator.warm_up(settings.slots, slots.shapes)
            return Generator(generator, slots, self._count(version, compiling, on_compiled))
        model = backend.load_sequence_model(version.folder, manifest)
        grid = Grid(settings.batch_sizes, manifest.length_buckets)
        executables = self._count(version, model.warm_up(grid.batch_sizes, grid.capacity), on_compiled)
        step_times = StepTimes()
        for rows in grid.batch_sizes:
            if not self._stopped():
                lengths = grid.lengths[0], grid.lengths[len(grid.lengths) // 2]
                step_times.fit(rows, {t: self._seconds_of_step(version, model, (rows, t)) for t in lengths})
        return Sequences(model, grid, step_times, executables)

    def _count(self, version: ModelVersion, compiling: Iterable[int], on_compiled: Callable[[int, int], None]) -> int:
        """Consumes what compiles; counts and times each executable in the metrics."""
        name, count, started = version.key.name, 0, self._clock()
        for executables in compiling:
            now = self._clock()
            self._metrics.compilations.labels(name).inc()
            self._metrics.compilation_duration.labels(name).observe(now - started)
            count, started = count + 1, now
            self._locks.record_executables()
            on_compiled(count, executables)
            if self._stopped():
                break
        return count

    def _seconds_of_step(self, version: ModelVersion, model: SequenceModel, shape: tuple[int, int]) -> float:
        """Measures a step (B, T) whose rows all have length T."""
        inputs = full_rows(version.manifest.endpoint.inputs, shape)
        seconds = []
        for _ in range(TIMINGS):
            started = self._clock()
            model.start(inputs)()
            seconds.append(self._clock() - started)
        return min(seconds)


def loading_order(versions: Collection[ModelVersion], defaults: Collection[str]) -> list[ModelVersion]:
    """Returns versions in the order to load them: first the default models of /tag, /classify and /generate."""

    def order(version: ModelVersion) -> tuple[bool, int, str]:
        manifest = version.manifest
        return manifest.name not in defaults, TASKS.index(manifest.task), manifest.name

    return sorted(versions, key=order)


def resident_megabytes() -> float:
    """Returns the resident memory of this process; 0 if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

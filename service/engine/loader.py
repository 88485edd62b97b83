"""Loads model versions: verifies each, then compiles and times a step of every batch size."""

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from tempfile import gettempdir

import numpy as np

from service.artifact.manifest import ModelVersion, TensorSpec
from service.backend.base import Backend, GenerationModel, SequenceModel
from service.backend.cache import NO_CACHE, ExecutableCache
from service.backend.priority import Priority, set_priority
from service.engine.observed import Observed
from service.engine.scheduler import Grid, StepTimes
from service.engine.slots import Slots
from service.errors import ArtifactError, ConfigurationError, DeviceFailed, TagwerkError, is_machine_fault, quantity
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import Array, ModelKey, Ragged, Tensors, pad

log = logging.getLogger("tagwerk.engine")

TASKS = ("tag", "classify", "generate")  # in the order in which their default models are loaded
MAX_WAITING_STREAMS = 256
# Of a prompt, per generation step. More read long prompts in fewer steps, and delay the texts that are being written.
PREFILL_TOKENS = 32
TIMINGS = 3  # measurements per step; the minimum counts


@dataclass(frozen=True, slots=True)
class Sequences:
    """A tagger or classifier, its batch sizes, length buckets and measured step times, and what it has observed."""

    model: SequenceModel
    grid: Grid
    step_times: StepTimes
    observed: Observed


@dataclass(frozen=True, slots=True)
class Generator:
    """A language model and its slots."""

    model: GenerationModel
    slots: Slots


WarmUp = Callable[[Callable[[Ragged], Tensors]], Iterable[None]]
Prepare = Callable[[ModelVersion], WarmUp | None]
OnLoaded = Callable[[ModelKey, Sequences | Generator, bool], object]  # the last says whether the device `overlaps`


@dataclass
class ModelLoading:
    """Loads the versions of a process, one after another, in their order; see `loading_order`.

    Attributes:
        prepare: called with each version while it is compiled, in another thread; an error refuses the version. May
            return what fills the caches of the version, before it serves beside others, by running some sequences.
        on_progress: called in the loading thread before each version, and after each of its executables, with the
            number of executables that are compiled.
        on_unread: called before a version is refused for a fault of the machine, such as a full disk.
        priority: of what loads and compiles, so that a process that serves meanwhile is not slowed down.
        cache: of executables: of several processes that share it, one compiles a model, and the others read it.
        stopped: whether to load no more.
        in_event_loop: runs a step that is measured, and waits for it.
    """

    settings: Settings
    versions: Sequence[ModelVersion]
    make_backend: Callable[[], Backend]
    metrics: Metrics
    clock: Callable[[], float] = time.monotonic
    prepare: Prepare = lambda version: None
    on_progress: Callable[[ModelKey, int], object] = lambda key, compiled: None
    on_unread: Callable[[ModelKey, str], object] = lambda key, reason: None
    priority: Priority = Priority.USUAL
    cache: ExecutableCache = NO_CACHE
    stopped: Callable[[], bool] = lambda: False
    in_event_loop: Callable[[Callable[[], float]], float] = lambda measure: measure()
    _step_times: dict[tuple[str, int], StepTimes] = field(default_factory=dict, init=False)  # of a graph and capacity

    def run(self, on_loaded: OnLoaded, on_refused: Callable[[ModelKey, str], object]) -> None:
        """Loads and compiles every version. A broken one is refused. Raises ConfigurationError."""
        started = self.clock()
        backend = self.make_backend()
        set_priority(self.priority)
        waiting = {version.key: version for version in self.versions}
        served: list[str] = []
        while waiting and not self.stopped():
            graphs = {key: version.manifest.graph for key, version in waiting.items()}
            with self.cache.first_free(graphs, self.stopped) as key:
                version = waiting.pop(key)
                try:
                    model = self._load_version(backend, version, len(self.versions) - len(waiting))
                    on_loaded(key, model, backend.overlaps)
                    served.append(str(key))
                except ConfigurationError:
                    raise
                except Exception as error:  # one broken version does not keep the others from serving
                    known = error if isinstance(error, TagwerkError) else f"{type(error).__name__}: {error}"
                    reason = str(ArtifactError(str(known)))
                    if is_machine_fault(error) or not Path(gettempdir()).is_dir():  # cleaners remove old folders
                        log.error("cannot load %s: %s", key, reason)
                        self.on_unread(key, reason)
                    else:
                        log.error("refused %s: %s", key, reason)
                    on_refused(key, reason)
        if not self.stopped():
            cost = f"{self.clock() - started:.1f} s, {resident_megabytes():.0f} MB in all"
            log.info("ready on %s: %s; %s", backend.device, ", ".join(served) or "no model", cost)

    def _load_version(self, backend: Backend, version: ModelVersion, number: int) -> Sequences | Generator:
        key = version.key
        self.on_progress(key, 0)
        log.info("loads %s (%d of %d)", key, number, len(self.versions))
        begun = self.clock()
        try:
            model, executables = self._load(backend, version)
        except DeviceFailed:
            if not self.cache.remove_damaged():
                raise
            model, executables = self._load(backend, version)
        seconds = self.clock() - begun
        self.metrics.model_info.labels(key.name, key.version).set(1)
        self.metrics.model_load_duration.labels(key.name, key.version).set(seconds)
        made = quantity(executables, "executable")
        log.info("%s: %s, %.1f s; %.0f MB in all", key, made, seconds, resident_megabytes())
        if lack := version.manifest.lack:
            log.warning("%s: %s", key, lack)
        return model

    def _load(self, backend: Backend, version: ModelVersion) -> tuple[Sequences | Generator, int]:
        """Loads a version: checks its goldens, compiles and times its steps; returns it and its executables' number.

        Raises ArtifactError.
        """
        settings, manifest = self.settings, version.manifest
        if manifest.task == "generate":
            generator = backend.load_generation_model(version.folder, manifest)
            slots = Slots(settings.slots, PREFILL_TOKENS, MAX_WAITING_STREAMS, settings.max_queue_tokens)
            compiling = generator.warm_up(settings.slots, slots.shapes)
            return Generator(generator, slots), self._compile(compiling, version)[0]
        model = backend.load_sequence_model(version.folder, manifest)
        grid = Grid(settings.batch_sizes, manifest.length_buckets)
        executables, warm_up = self._compile(model.warm_up(grid.batch_sizes, grid.capacity), version)
        if (same := (manifest.graph, grid.capacity)) not in self._step_times:
            # Other processes, such as one that compiles at the same start, do not change the processor time of a step.
            clock = self.clock if backend.overlaps else time.process_time
            measured: dict[tuple[int, int], float] = {}
            for shape in product(grid.batch_sizes, (grid.lengths[0], grid.lengths[len(grid.lengths) // 2])):
                if not self.stopped():
                    measured[shape] = self._seconds_of_step(version, model, shape, clock)
            self._step_times[same] = StepTimes.fit(measured)
        if warm_up is not None and self.priority is not Priority.USUAL:  # otherwise it is wanted as soon as possible
            shape = grid.batch_sizes[0], grid.capacity
            for _ in warm_up(lambda sequence: model.start(pad(sequence, shape))()):
                if self.stopped():
                    break
        return Sequences(model, grid, self._step_times[same], Observed(version, self.metrics)), executables

    def _compile(self, compiling: Iterable[None], version: ModelVersion) -> tuple[int, WarmUp | None]:
        """Compiles, and prepares the version meanwhile; counts and times each executable.

        Returns their number, and what `prepare` has returned.
        """
        key, count, started = version.key, 0, self.clock()
        with ThreadPoolExecutor(1) as beside:
            prepared = beside.submit(self.prepare, version)
            for count, _ in enumerate(compiling, start=1):
                now = self.clock()
                self.metrics.compilations.labels(key.name).inc()
                self.metrics.compilation_duration.labels(key.name).observe(now - started)
                started = now
                self.cache.record()
                self.on_progress(key, count)
                if self.stopped():
                    break
        return count, prepared.result()

    def _seconds_of_step(
        self, version: ModelVersion, model: SequenceModel, shape: tuple[int, int], clock: Callable[[], float]
    ) -> float:
        """Measures a step (B, T) whose rows all have length T, in the event loop: no other step runs meanwhile."""
        inputs = full_rows(version.manifest.endpoint.inputs, shape)

        def measure() -> float:
            started = clock()
            model.start(inputs)()
            return clock() - started

        return max(min(self.in_event_loop(measure) for _ in range(TIMINGS)), 1e-9)  # 0 on a clock that has not moved


def full_rows(specs: Mapping[str, TensorSpec], shape: tuple[int, int]) -> dict[str, Array]:
    """Returns inputs of zeros for a batch (B, T) whose rows all have length T."""
    b, t = shape
    inputs = {}
    for name, spec in specs.items():
        sizes = [axis for axis in spec.axes[2:] if isinstance(axis, int)]
        inputs[name] = np.zeros((b, t, *sizes), spec.dtype)
    return inputs | {"lengths": np.full(b, t, np.int32)}


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

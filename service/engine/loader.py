"""Loads a model version: verifies it, then compiles and times a step of every batch size."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from service.artifact.version import ModelVersion
from service.backend.base import Backend, GenerationModel, SequenceModel
from service.engine.padding import Grid, full_rows
from service.engine.plan import StepTimes
from service.engine.slots import Slots
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey

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
    expected_padding: float  # upper bound of the share of padding, for texts like the training data

    def __str__(self) -> str:
        return f"{self.executables} executables, at most {self.expected_padding:.0%} padding"


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


class Loader:
    """Loads the versions of one process, one after another."""

    def __init__(
        self, settings: Settings, metrics: Metrics, clock: Callable[[], float], stopped: Callable[[], bool]
    ) -> None:
        """Skips the rest of a warm-up once `stopped` returns True."""
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._stopped = stopped

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
        return Sequences(model, grid, step_times, executables, grid.expected_padding(manifest.lengths))

    def _count(self, version: ModelVersion, compiling: Iterable[int], on_compiled: Callable[[int, int], None]) -> int:
        """Consumes what compiles; counts and times each executable in the metrics."""
        name, count, started = version.key.name, 0, self._clock()
        for executables in compiling:
            now = self._clock()
            self._metrics.compilations.labels(name).inc()
            self._metrics.compilation_duration.labels(name).observe(now - started)
            count, started = count + 1, now
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
            model.run(inputs)
            seconds.append(self._clock() - started)
        return min(seconds)


def resident_megabytes() -> float:
    """Returns the resident memory of this process; 0 if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

"""Loads a model version and makes it ready: every shape compiled, every step timed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from service.backend.base import Backend, GenerationModel, SequenceModel
from service.engine.padding import Grid, pad
from service.engine.plan import StepTimes
from service.engine.slots import Slots
from service.metrics import Metrics
from service.registry import ModelVersion
from service.settings import Settings

MAX_WAITING_STREAMS = 256
TIMINGS = 3  # of each shape; the least counts


@dataclass(frozen=True, slots=True)
class Sequences:
    """A tagger or classifier, and the shapes that it runs in with what they cost."""

    model: SequenceModel
    loaded: Grid  # the shapes that there are
    grid: Grid  # those that there are to be
    step_times: StepTimes
    executables: int
    expected_padding: float  # share of the cells of rows, for texts like those of training


@dataclass(frozen=True, slots=True)
class Generator:
    """A language model and its slots."""

    model: GenerationModel
    slots: Slots
    executables: int


class Loader:
    """Loads the versions of one process, one after the other."""

    def __init__(
        self, settings: Settings, metrics: Metrics, clock: Callable[[], float], stopped: Callable[[], bool]
    ) -> None:
        """Once `stopped` says so, what is left of a warm-up is not done."""
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._stopped = stopped

    def load(self, backend: Backend, version: ModelVersion, in_haste: bool = False) -> Sequences | Generator:
        """Loads a version. In haste, where it has served before: the few shapes in which all can run, and no goldens.

        Raises ArtifactError.
        """
        settings, manifest = self._settings, version.manifest
        if manifest.task == "generate":
            generator = backend.load_generation_model(version.folder, manifest, checked=in_haste)
            slots = Slots(settings.slots, settings.prefill_tokens, MAX_WAITING_STREAMS)
            return Generator(generator, slots, self.count(version, generator.warm_up(settings.slots, slots.shapes)))
        model = backend.load_sequence_model(version.folder, manifest, checked=in_haste)
        own = manifest.task == "lemmatize"  # its lengths count characters
        grid = Grid(settings.batch_sizes, (not own and settings.length_buckets) or manifest.length_buckets)
        first = grid.coarse if in_haste else grid
        executables = self.count(version, model.warm_up(first.shapes))
        step_times = StepTimes()
        for shape in first.shapes:
            if not self._stopped():
                self.time_step(version, model, step_times, shape, 1 if in_haste else TIMINGS)
        return Sequences(model, first, grid, step_times, executables, grid.expected_padding(manifest.lengths))

    def count(self, version: ModelVersion, shapes: Iterable[tuple[int, int]]) -> int:
        """Counts what is compiled, in the metrics too."""
        name, count, started = version.key.name, 0, self._clock()
        for _ in shapes:
            now = self._clock()
            self._metrics.compilations.labels(name).inc()
            self._metrics.compilation_duration.labels(name).observe(now - started)
            count, started = count + 1, now
            if self._stopped():
                break
        return count

    def time_step(
        self,
        version: ModelVersion,
        model: SequenceModel,
        step_times: StepTimes,
        shape: tuple[int, int],
        timings: int = TIMINGS,
    ) -> None:
        """Measures a step of a shape that is compiled: the least of so many."""
        inputs = pad([], version.manifest.endpoint.inputs, shape).inputs
        seconds = []
        for _ in range(timings):
            started = self._clock()
            model.run(inputs)
            seconds.append(self._clock() - started)
        step_times.measured(shape, min(seconds))

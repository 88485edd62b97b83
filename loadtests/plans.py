"""Compares plans of batches by the device time that they take, with step times that are measured here.

    python -m loadtests.plans

For the default tagger and classifier, and each number of sentences that wait: the milliseconds of their batches as the
service cuts them, and how many times as long the plainest batches take, which are full but for the last: of the
sentences by length, or as they came. Then the milliseconds in which the service finds where to cut.
"""

import random
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from loadtests.text import ewt_lengths
from service.backend.base import Backend
from service.backend.cache import ExecutableCache
from service.engine.loader import Generator, ModelLoading, Sequences
from service.engine.scheduler import PLANNED_BATCHES, Grid, StepTimes, cut
from service.engine.tensorflow_engine import import_tensorflow
from service.pipelines.catalog import Catalog, Dictionaries
from service.settings import load_settings
from service.store.serving import served
from service.telemetry.metrics import Metrics
from service.types import ModelKey

DRAWS = 300


def main() -> None:
    """Prints the table."""
    settings, metrics = load_settings(), Metrics()
    versions, defaults = served(settings)
    used = [version for version in versions if version.key.name in {defaults["tag"], defaults["classify"]}]
    catalog = Catalog(Dictionaries(settings, metrics))
    cache = ExecutableCache(Path(settings.xla_cache) if settings.xla_cache else None)

    def make_backend() -> Backend:
        made: Backend = import_tensorflow().TensorFlowBackend(settings.device, cache)
        return made

    print("| model | sentences | ms | by length | as they came | to plan, ms |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")

    def show(key: ModelKey, model: Sequences | Generator, overlaps: bool) -> None:
        if isinstance(model, Sequences):
            for row in rows(model.grid, model.step_times):
                print(f"| `{key}` | {row}")

    ModelLoading(settings, used, make_backend, metrics, prepare=catalog.prepare).run(show, print)


def rows(grid: Grid, times: StepTimes) -> Iterator[str]:
    """Yields the row of each number of sentences, up to as many as are planned together."""
    words = [length for length, count in ewt_lengths().items() for _ in range(count)]
    draw = random.Random(1)
    for count in (2, 3, 4, 6, 8, 12, 16, 24, PLANNED_BATCHES * grid.batch_sizes[-1]):
        own = by_length = as_came = 0.0
        planning: list[float] = []
        for _ in range(DRAWS):
            lengths = [min(length, grid.capacity) for length in draw.choices(words, k=count)]
            rising, began = sorted(lengths), time.perf_counter()
            starts = cut(rising, grid.batch_sizes, times)
            planning.append(time.perf_counter() - began)
            own += seconds(rising, [*starts, count], grid, times)
            full = [*range(0, count, grid.batch_sizes[-1]), count]
            by_length += seconds(rising, full, grid, times)
            as_came += seconds(lengths, full, grid, times)
        mean, cost = 1000 * own / DRAWS, 1000 * median(planning)
        yield f"{count} | {mean:.2f} | {by_length / own:.2f} | {as_came / own:.2f} | {cost:.2f} |"


def seconds(lengths: Sequence[int], starts: Sequence[int], grid: Grid, times: StepTimes) -> float:
    """Returns the device time of batches, each of which starts at a place; the last place is the end."""
    return sum(times.seconds(grid.rows(end - start), max(lengths[start:end])) for start, end in pairwise(starts))


if __name__ == "__main__":
    main()

"""Cuts the sequences of a peer's batcher, which ignores lengths, into the batches that take the least time."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby

from service.engine.scheduler import Grid

Shape = tuple[int, int]  # B, T
Cost = tuple[float, tuple[Shape, ...]]  # seconds, and the batches that take them


class Cuts:
    """Chooses batches of a grid of shapes by their measured step times."""

    def __init__(self, grid: Grid, seconds: Mapping[Shape, float]) -> None:
        self._grid = grid

        @cache
        def batches_of(length: int, sequences: int) -> Cost:
            if sequences <= 0:
                return 0.0, ()
            ways = []
            for size in grid.batch_sizes:
                rest = batches_of(length, sequences - size)
                ways.append((seconds[size, length] + rest[0], ((size, length), *rest[1])))
            return min(ways)

        self._batches_of = batches_of

    def __call__(self, lengths: Sequence[int]) -> Iterator[tuple[list[int], Shape]]:
        """Yields batches that hold sequences of these lengths: the places of the sequences, and the shape."""
        rising = sorted(range(len(lengths)), key=lengths.__getitem__)
        buckets = [self._grid.bucket(lengths[place]) for place in rising]
        start = 0
        for size, length in self._cheapest([(length, len(list(group))) for length, group in groupby(buckets)]):
            fitting = [place for place in rising[start : start + size] if lengths[place] <= length]
            yield fitting, (size, length)
            start += len(fitting)

    def _cheapest(self, buckets: Sequence[tuple[int, int]]) -> tuple[Shape, ...]:
        """Returns the shapes for that many sequences in each bucket, which rise; shorter ones may join longer ones."""
        costs: list[Cost] = [(0.0, ())]  # of the last buckets: none, one, two, …
        for first in reversed(range(len(buckets))):
            ways, sequences = [], 0
            for last in range(first, len(buckets)):
                sequences += buckets[last][1]
                here, rest = self._batches_of(buckets[last][0], sequences), costs[len(buckets) - 1 - last]
                ways.append((here[0] + rest[0], here[1] + rest[1]))
            costs.append(min(ways))
        return costs[-1][1]

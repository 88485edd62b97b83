"""The batches of a peer are cut so that they take the least time, for a fair comparison."""

from itertools import groupby, product

from hypothesis import given
from hypothesis import strategies as st

from loadtests.peers.cuts import Cuts, Shape
from service.engine.scheduler import Grid

GRID = Grid((1, 2, 4), (4, 8, 16))
SHAPES = list(product(GRID.batch_sizes, GRID.lengths))
SECONDS = st.fixed_dictionaries({shape: st.integers(1, 50).map(float) for shape in SHAPES})
LENGTHS = st.lists(st.integers(1, 16), max_size=12)


@given(LENGTHS.filter(bool), SECONDS)
def test_no_way_to_join_buckets_costs_less(lengths, seconds):
    buckets = [(length, len(list(group))) for length, group in groupby(sorted(map(GRID.bucket, lengths)))]
    costs = []
    for cuts in product((False, True), repeat=len(buckets) - 1):
        cost, sequences = 0.0, 0
        for (length, number), cut in zip(buckets, (*cuts, True), strict=True):
            sequences += number
            if cut:
                cost += cost_of(sequences, length, seconds)
                sequences = 0
        costs.append(cost)
    assert sum(seconds[shape] for _, shape in Cuts(GRID, seconds)(lengths)) == min(costs)


def cost_of(sequences: int, length: int, seconds: dict[Shape, float]) -> float:
    """Returns the least time for sequences that are all padded to one length."""
    best = [0.0]
    for count in range(1, sequences + 1):
        best.append(min(best[max(0, count - size)] + seconds[size, length] for size in GRID.batch_sizes))
    return best[-1]

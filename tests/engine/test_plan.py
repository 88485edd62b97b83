"""Step times, and how waiting sequences are cut into batches."""

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.scheduler import StepTimes, cut

SIZES = (1, 4, 16)
LENGTHS = (8, 16, 32)


def times(fixed: float = 0.0) -> StepTimes:
    """A device whose step costs something fixed, and a microsecond for each cell."""
    return StepTimes({rows: (1e-6 * fixed, 1e-6 * rows) for rows in SIZES})


def batches(lengths: Sequence[int], sizes: Sequence[int], seconds: StepTimes) -> list[list[int]]:
    """Returns the lengths of each batch."""
    return [list(lengths[start:end]) for start, end in pairwise([*cut(lengths, sizes, seconds), len(lengths)])]


def cost(parts: Sequence[Sequence[int]], sizes: Sequence[int], seconds: StepTimes) -> float:
    """Returns the time of batches, each of the smallest size that holds it."""
    return sum(seconds.seconds(min(size for size in sizes if size >= len(part)), max(part)) for part in parts)


def partitions(lengths: Sequence[int]) -> Iterator[list[list[int]]]:
    """Yields every way to divide sequences among batches."""
    if not lengths:
        yield []
        return
    for parts in partitions(lengths[1:]):
        yield [[lengths[0]], *parts]
        for i, part in enumerate(parts):
            yield [*parts[:i], [lengths[0], *part], *parts[i + 1 :]]


def test_sequences_that_fill_a_batch_size_are_one_batch():
    assert cut([16] * 4, SIZES, times()) == [0], "also where smaller ones take as long"
    assert sorted(map(len, batches([16] * 40, SIZES, times(fixed=1)))) == [4, 4, 16, 16]


rising_costs = st.lists(st.floats(0.0, 100.0), min_size=4, max_size=4).map(sorted)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=7).map(sorted),
    st.sets(st.integers(1, 8), min_size=1, max_size=4).map(sorted),
    rising_costs,
    rising_costs,
)
def test_no_other_batches_take_less_time(lengths, sizes, fixed, per_step):
    seconds = StepTimes(dict(zip(sizes, zip(fixed, per_step, strict=True), strict=False)))
    least = min(
        cost(parts, sizes, seconds) for parts in partitions(lengths) if all(len(part) <= sizes[-1] for part in parts)
    )
    assert cost(batches(lengths, sizes, seconds), sizes, seconds) == pytest.approx(least, rel=1e-9, abs=1e-9)


@given(
    st.lists(st.integers(1, 64), max_size=80).map(sorted),
    st.dictionaries(st.integers(1, 32), st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=5),
)
def test_each_sequence_is_in_one_batch_that_has_a_size_whatever_the_costs(lengths, lines):
    sizes, seconds = sorted(lines), StepTimes(lines)
    first, *others = batches(lengths, sizes, seconds) or [[]]
    assert [length for batch in (first, *others) for length in batch] == lengths
    assert len(first) <= sizes[-1]
    assert all(len(batch) in sizes for batch in others), "filler in another batch than the first"


def measured(fixed: float, row: float, iteration: float, cell: float) -> dict[tuple[int, int], float]:
    """Returns the seconds of the steps that are measured at the start, of a device whose costs are these."""
    return {(b, t): fixed + row * b + (iteration + cell * b) * t for b in SIZES for t in (LENGTHS[0], LENGTHS[-1])}


@pytest.mark.parametrize("costs", [(3.0, 0.5, 2.0, 0.25), (3.0, 0.0, 0.0, 0.25), (0.0, 0.0, 2.0, 0.0)])
def test_a_few_measured_steps_give_the_time_of_any(costs):
    seconds = StepTimes.fit(measured(*costs))
    fixed, row, iteration, cell = costs
    for b, t in product(SIZES, (1, 8, 20, 64)):
        assert seconds.seconds(b, t) == pytest.approx(fixed + row * b + (iteration + cell * b) * t)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from([1, 2, 4, 8, 16, 64]), st.sampled_from([1, 17])), st.floats(1e-9, 10.0), min_size=1
    )
)
def test_no_measurement_makes_a_step_cost_less_than_a_shorter_or_smaller_one_or_nothing(found):
    seconds = StepTimes.fit(found)
    costs = [[seconds.seconds(b, t) for t in (1, 5, 17, 159)] for b in sorted({b for b, _ in found})]
    for rising in (*costs, *zip(*costs, strict=True)):
        assert list(rising) == sorted(rising)
    assert costs[0][0] > 0


@pytest.mark.parametrize("shape", list(product(SIZES, (LENGTHS[0], LENGTHS[-1]))))
def test_a_step_that_was_measured_too_slow_does_not_decide_how_often_its_size_is_chosen(shape):
    found, lengths = measured(3e-4, 0.0, 2e-5, 1e-5), [8] * 3 + [16] * 7 + [32] * 9
    true = StepTimes.fit(found)
    slow = StepTimes.fit(found | {shape: 2 * found[shape]})
    assert cost(batches(lengths, SIZES, slow), SIZES, true) < 1.1 * cost(batches(lengths, SIZES, true), SIZES, true)


def test_a_batch_that_takes_less_than_was_known_lowers_all_steps_alike_and_one_that_takes_more_changes_nothing():
    seconds = times(fixed=100)
    before = {shape: seconds.seconds(*shape) for shape in product(SIZES, LENGTHS)}
    seconds.measured((16, 32), 10 * seconds.seconds(16, 32))  # other processes take some of the processor
    assert {shape: seconds.seconds(*shape) for shape in before} == before
    seconds.measured((4, 10), 0.5 * seconds.seconds(4, 10))
    for shape, known in before.items():
        assert seconds.seconds(*shape) == pytest.approx(0.5 * known, rel=1e-9)

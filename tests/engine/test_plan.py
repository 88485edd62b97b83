"""Step times, and how waiting sequences are cut into batches."""

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.plan import StepTimes, cut

SIZES = (1, 4, 16)
LENGTHS = (8, 16, 32)


def times(fixed: float = 0.0, cell: float = 1.0, sizes: Sequence[int] = SIZES) -> StepTimes:
    """A device whose step costs something fixed, and something for each cell, in microseconds."""
    made = StepTimes()
    for rows in sizes:
        made.lines[rows] = (1e-6 * fixed, 1e-6 * cell * rows)
    return made


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


def test_where_one_row_is_slower_than_four_a_sequence_takes_as_many_shorter_ones_along_as_pay():
    seconds = StepTimes()
    for rows, per_step in {1: 12.5, 4: 5.0, 16: 20.0}.items():
        seconds.fit(rows, {length: 1e-6 * per_step * length for length in LENGTHS})
    assert batches([8] * 15 + [32], SIZES, seconds) == [[8] * 4, [8] * 4, [8] * 4, [8] * 3 + [32]]


rising_costs = st.lists(st.floats(0.0, 100.0), min_size=4, max_size=4).map(sorted)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=7).map(sorted),
    st.sets(st.integers(1, 8), min_size=1, max_size=4).map(sorted),
    rising_costs,
    rising_costs,
)
def test_no_other_batches_take_less_time(lengths, sizes, fixed, per_step):
    seconds = StepTimes()
    for rows, at_once, each in zip(sizes, fixed, per_step, strict=False):
        seconds.fit(rows, {length: at_once + each * length for length in LENGTHS})
    least = min(
        cost(parts, sizes, seconds) for parts in partitions(lengths) if all(len(part) <= sizes[-1] for part in parts)
    )
    assert cost(batches(lengths, sizes, seconds), sizes, seconds) == pytest.approx(least, rel=1e-9, abs=1e-9)


@given(
    st.lists(st.integers(1, 64), max_size=80).map(sorted),
    st.dictionaries(st.integers(1, 32), st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=5),
)
def test_each_sequence_is_in_one_batch_that_has_a_size_whatever_the_costs(lengths, lines):
    sizes, seconds = sorted(lines), StepTimes()
    for rows, (fixed, per_step) in lines.items():
        seconds.fit(rows, {length: fixed + per_step * length for length in LENGTHS})
    first, *others = batches(lengths, sizes, seconds) or [[]]
    assert [length for batch in (first, *others) for length in batch] == lengths
    assert len(first) <= sizes[-1]
    assert all(len(batch) in sizes for batch in others), "filler in another batch than the first"


def test_a_step_of_any_length_is_on_the_line_through_the_shortest_and_the_longest():
    seconds = StepTimes()
    seconds.fit(4, {8: 3.0, 32: 9.0})
    assert [seconds.seconds(4, length) for length in (1, 8, 20, 32)] == [1.25, 3.0, 6.0, 9.0]
    seconds.fit(1, {8: 2.0})
    assert [seconds.seconds(1, length) for length in (4, 8, 32)] == [1.0, 2.0, 8.0]


@pytest.mark.parametrize("longest", [0.5, 1.0, 100.0])
def test_no_measurement_makes_a_step_cost_less_than_a_shorter_one_or_nothing(longest):
    seconds = StepTimes()
    seconds.fit(1, {8: 1.0, 32: longest})
    costs = [seconds.seconds(1, length) for length in range(1, 64)]
    assert costs == sorted(costs)
    assert costs[0] > 0


def test_a_batch_that_takes_less_than_was_known_lowers_all_steps_alike():
    seconds = times(fixed=100)
    before = {shape: seconds.seconds(*shape) for shape in product(SIZES, LENGTHS)}
    seconds.measured((4, 10), 0.5 * seconds.seconds(4, 10))
    for shape, known in before.items():
        assert seconds.seconds(*shape) == pytest.approx(0.5 * known, rel=1e-9)


def test_what_other_processes_take_of_the_processor_changes_neither_times_nor_batches():
    seconds, lengths = times(fixed=60), [8] * 3 + [16] * 7 + [32] * 9
    before = seconds.seconds(16, 32), cut(lengths, SIZES, seconds)
    for _ in range(50):
        seconds.measured((16, 32), 10 * seconds.seconds(16, 32))  # by chance, always while large batches run
    assert (seconds.seconds(16, 32), cut(lengths, SIZES, seconds)) == before


@pytest.mark.parametrize("slow", [{16: 9.0}, {4: 9.0}, {4: 9.0, 16: 30.0}])
def test_a_size_that_was_measured_too_slow_is_chosen_all_the_same(slow):
    seconds = StepTimes()
    for rows in SIZES:
        seconds.fit(rows, {length: slow.get(rows, 1.0) * 1e-6 * (60 + rows * length) for length in LENGTHS})
    assert cut([16] * 16, SIZES, seconds) == [0]

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.padding import Grid
from service.engine.plan import LONGEST_STEP_SECONDS, Plan, StepTimes

GRID = Grid((1, 4, 16), (8, 16, 32))


def times(fixed: float = 0.0, cell: float = 1.0) -> StepTimes:
    """A device whose step costs something fixed, and something for each cell, in microseconds."""
    made = StepTimes()
    for rows in GRID.batch_sizes:
        made.fit(rows, {length: 1e-6 * (fixed + cell * rows * length) for length in GRID.lengths})
    return made


def plan(seconds: StepTimes, bucket: int, **waiting: int) -> tuple[int, dict[int, int]]:
    made = Plan(GRID, seconds, bucket, {int(name[1:]): count for name, count in waiting.items()})
    return made.rows, made.takes


def test_sequences_that_fit_the_grid_are_run_as_they_are():
    assert plan(times(), 16, t16=4) == (4, {16: 4})
    assert plan(times(), 16, t16=40) == (16, {16: 16})


def test_where_cells_cost_a_batch_is_split_and_where_steps_cost_it_is_padded_up():
    assert plan(times(cell=1), 16, t16=5) == (4, {16: 4})
    assert plan(times(fixed=1000), 16, t16=5) == (16, {16: 5})


def test_rows_that_are_left_over_take_shorter_sequences_the_longest_first():
    seconds = times(fixed=1000)
    assert plan(seconds, 32, t32=3, t16=1, t8=9) == (16, {32: 3, 16: 1, 8: 9})
    assert plan(times(fixed=10), 32, t32=3, t8=1) == (4, {32: 3, 8: 1})


def test_shorter_sequences_are_left_where_padding_them_costs_more_than_a_step_of_their_own():
    assert plan(times(cell=1), 32, t32=4, t8=4) == (4, {32: 4})


def test_in_a_crowd_shorter_sequences_take_rows_that_are_left_and_no_others():
    seconds = times(fixed=400)
    assert plan(seconds, 32, t32=4, t16=4) == (16, {32: 4, 16: 4})
    assert plan(seconds, 32, t32=4, t16=4, t8=20) == (4, {32: 4})
    assert plan(seconds, 32, t32=3, t16=4, t8=20) == (4, {32: 3, 16: 1})


def test_as_many_as_a_batch_holds_are_no_crowd():
    seconds = times(fixed=400)
    assert plan(seconds, 32, t32=4, t16=12) == (16, {32: 4, 16: 12})
    assert plan(seconds, 32, t32=4, t16=13) == (4, {32: 4})


def test_without_a_crowd_a_saved_step_counts_once():
    assert plan(times(fixed=250), 32, t32=4, t16=4) == (4, {32: 4}), "that step costs 314, the larger one 384 more"


def test_a_plan_follows_from_the_ratios_of_the_costs():
    seconds = times(fixed=0.4, cell=1e-3)
    assert plan(seconds, 32, t32=4, t16=4) == (16, {32: 4, 16: 4})


def test_a_step_for_which_other_models_would_wait_too_long_has_fewer_rows():
    unit = 1e6 * LONGEST_STEP_SECONDS / 512  # that of sixteen rows of 32 tokens takes as long as is allowed
    assert plan(times(cell=unit), 32, t32=40, t8=40) == (16, {32: 16})
    assert plan(times(cell=1.01 * unit), 32, t32=40, t8=40) == (4, {32: 4})
    assert plan(times(fixed=380 * unit, cell=unit), 32, t32=4, t8=12) == (4, {32: 4}), "not with shorter ones either"
    assert plan(times(fixed=513 * unit), 32, t32=3, t8=40) == (1, {32: 1}), "no step is short enough"


def test_where_one_row_is_slower_than_four_a_sequence_takes_as_many_shorter_ones_along_as_pay():
    seconds = StepTimes()
    for rows, cost in {1: 12.5, 4: 5.0, 16: 20.0}.items():
        seconds.fit(rows, {length: 1e-6 * cost * length for length in GRID.lengths})
    assert plan(seconds, 32, t32=1, t8=15) == (4, {32: 1, 8: 3})


def test_a_sequence_runs_in_the_smallest_batch_even_where_that_has_more_rows():
    made = Plan(Grid((4, 16), (8,)), StepTimes(), 8, {8: 1})
    assert (made.rows, made.takes) == (4, {8: 1})


def test_longer_sequences_are_never_taken_in():
    assert plan(times(fixed=1000), 8, t8=1, t32=9) == (1, {8: 1})


def test_a_step_of_any_length_is_on_the_line_through_the_shortest_and_the_longest():
    seconds = StepTimes()
    seconds.fit(4, {8: 3.0, 32: 9.0})
    assert [seconds[4, length] for length in (1, 8, 20, 32)] == [1.25, 3.0, 6.0, 9.0]
    seconds.fit(1, {8: 2.0})
    assert [seconds[1, length] for length in (4, 8, 32)] == [1.0, 2.0, 8.0]


def test_a_step_of_a_size_that_was_not_measured_is_estimated_from_its_cells():
    assert StepTimes()[4, 10] == pytest.approx(40e-6)


@pytest.mark.parametrize("longest", [0.5, 1.0, 100.0])
def test_no_measurement_makes_a_step_cost_less_than_a_shorter_one_or_nothing(longest):
    seconds = StepTimes()
    seconds.fit(1, {8: 1.0, 32: longest})
    costs = [seconds[1, length] for length in range(1, 64)]
    assert costs == sorted(costs)
    assert costs[0] > 0


def test_what_a_batch_took_moves_the_steps_of_its_size_and_no_others():
    seconds = times(fixed=100)
    before = {shape: seconds[shape] for shape in product(GRID.batch_sizes, GRID.lengths)}
    for _ in range(200):
        seconds.measured((4, 10), 1.5 * seconds_of(before, 4, 10))
    for (rows, length), known in before.items():
        assert seconds[rows, length] == pytest.approx(1.5 * known if rows == 4 else known, rel=1e-3)


def seconds_of(known: dict[tuple[int, int], float], rows: int, length: int) -> float:
    """Returns what lies on the line between two lengths that are known."""
    short, long = known[rows, 8], known[rows, 16]
    return short + (long - short) * (length - 8) / 8


def test_one_slow_step_does_not_upset_what_is_known():
    seconds = times(cell=1)
    before = seconds[4, 16]
    seconds.measured((4, 16), 1e9)
    assert before < seconds[4, 16] < 1.2 * before
    for _ in range(200):
        seconds.measured((4, 16), 2 * before)
    assert abs(seconds[4, 16] - 2 * before) < 0.01 * before


def test_steps_of_milliseconds_follow_their_measurements_too():
    seconds = times(cell=1e-6)
    before = seconds[4, 16]
    for _ in range(200):
        seconds.measured((4, 16), 1.5 * before)
    assert seconds[4, 16] == pytest.approx(1.5 * before, rel=1e-3)


def test_a_step_that_took_no_time_by_the_clock_can_be_measured_again():
    seconds = times(cell=0.0)
    seconds.measured((4, 16), 1.0)
    assert seconds[4, 16] == 0.0


@given(
    st.dictionaries(st.sampled_from(GRID.lengths), st.integers(1, 50), min_size=1),
    st.floats(0, 1000),
    st.floats(0.01, 10),
)
def test_a_plan_fits_its_shape_and_serves_the_lane_whose_turn_it_is(waiting, fixed, cell):
    bucket = max(waiting)
    made = Plan(GRID, times(fixed, cell), bucket, waiting)
    assert made.rows in GRID.batch_sizes
    assert 1 <= sum(made.takes.values()) <= made.rows
    assert made.takes[bucket] >= 1
    assert all(0 < count <= waiting[length] for length, count in made.takes.items())

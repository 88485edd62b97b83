"""The times of steps, from a few that were measured."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.scheduler import StepTimes

SIZES = (1, 4, 16)
LENGTHS = (8, 16, 32)


def times(fixed: float = 0.0) -> StepTimes:
    """A device whose step costs something fixed, and a microsecond for each cell."""
    return StepTimes({rows: (1e-6 * fixed, 1e-6 * rows) for rows in SIZES})


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


def test_a_batch_that_takes_less_than_was_known_lowers_all_steps_alike_and_one_that_takes_more_changes_nothing():
    seconds = times(fixed=100)
    before = {shape: seconds.seconds(*shape) for shape in product(SIZES, LENGTHS)}
    seconds.measured((16, 32), 10 * seconds.seconds(16, 32))  # other processes take some of the processor
    assert {shape: seconds.seconds(*shape) for shape in before} == before
    seconds.measured((4, 10), 0.5 * seconds.seconds(4, 10))
    for shape, known in before.items():
        assert seconds.seconds(*shape) == pytest.approx(0.5 * known, rel=1e-9)

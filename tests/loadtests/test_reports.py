"""Figures with their aims, of the ramp and of the soak."""

import pytest

from loadtests.client import Measurement
from loadtests.figures.ramp import Step
from loadtests.figures.ramp import check as check_ramp
from loadtests.figures.soak import Sample
from loadtests.figures.soak import check as check_soak


@pytest.mark.parametrize(
    ("answered", "refused", "others", "met"),
    [(96, 250, 0, [False, True, True]), (98, 250, 1, [True, False, True]), (98, 0, 0, [True, True, False])],
)
def test_a_ramp_finds_what_is_wrong(answered, refused, others, met):
    steps = [
        Step(share, 100 * share, 1, Measurement(rate, 1, 2, errors, refused), refused / 5, 0.1, errors - refused)
        for share, rate, refused, errors in ((1, 100, 0, 0), (1.5, answered, refused, refused + others))
    ]
    assert [figure.met for figure in check_ramp(steps)] == met


@pytest.mark.parametrize("grows", range(5))
def test_a_soak_finds_what_grows(grows):
    memory, descriptors, threads, errors, gone = (int(which == grows) for which in range(5))

    def held(late: bool) -> Sample:
        return Sample(0, 0, int(1e8 * (1 + 0.03 * memory * late)), 50 + descriptors * late, 9 + threads * late)

    rounds = [(Measurement(100, 1, 2, errors, 0), [held(number >= 5)]) for number in range(10)]
    assert [figure.met for figure in check_soak(rounds, gone)] == [which != grows for which in range(5)]

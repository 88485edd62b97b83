"""Figures with their aims, of the ramp and of the soak."""

from loadtests.client import Measurement
from loadtests.figures.ramp import Step
from loadtests.figures.ramp import check as check_ramp
from loadtests.figures.soak import Sample
from loadtests.figures.soak import check as check_soak


def step(share: float, answered: float, refused: int, others: int = 0) -> Step:
    seen = Measurement(answered, 1, 2, refused + others, refused)
    return Step(share, 100 * share, 1, seen, refused / 5, 0.1, others)


def met(figures) -> list[bool]:
    return [figure.met for figure in figures]


def test_a_ramp_finds_what_is_wrong():
    assert met(check_ramp([step(1, 100, 0), step(1.5, 96, 250)])) == [False, True, True]
    assert met(check_ramp([step(1, 100, 0), step(1.5, 98, 250, others=1)])) == [True, False, True]
    assert met(check_ramp([step(1, 100, 0), step(1.5, 98, 0)])) == [True, True, False]


def soak(memory=1.0, descriptors=0, threads=0, errors=0):
    def held(number: int) -> Sample:
        late = number >= 5
        return Sample(number, 0, int(1e8 * (memory if late else 1)), 50 + descriptors * late, 9 + threads * late)

    return [(Measurement(100, 1, 2, errors, 0), [held(number)]) for number in range(10)]


def test_a_soak_finds_what_grows():
    assert met(check_soak(soak(memory=1.03), 0)) == [False, True, True, True, True]
    assert met(check_soak(soak(descriptors=1), 0)) == [True, False, True, True, True]
    assert met(check_soak(soak(threads=1), 0)) == [True, True, False, True, True]
    assert met(check_soak(soak(errors=1), 0)) == [True, True, True, False, True]
    assert met(check_soak(soak(), 1)) == [True, True, True, True, False]

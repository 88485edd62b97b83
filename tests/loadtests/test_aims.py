"""Figures and their aims."""

import math

from loadtests.aims import Aim, Figure


def test_a_figure_says_what_is_required_and_whether_it_is_met():
    figure = Figure("p50", 0.5, Aim(0.6, "ms", target=0.4), "of four")
    assert str(figure) == "    ok  p50: 0.50 ms, required at most 0.6 ms, target 0.4 (of four)"
    missed = Figure("ratio", 1.1, Aim(1.2, "times", least=True), "of four")
    assert str(missed) == "MISSED  ratio: 1.10 times, required at least 1.2 times (of four)"


def test_bounds_hold_on_their_side():
    most, least = Aim(2, "ms"), Aim(2, "ms", least=True)
    assert [aim.met(value) for aim in (most, least) for value in (1, 2, 3)] == [True, True, False, False, True, True]
    assert not most.met(math.nan)
    assert not least.met(math.nan)


def test_a_figure_without_an_aim_misses_nothing():
    assert Figure("rate", 10, None, "", "a second").met

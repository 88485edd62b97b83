"""The well-behaved client beside an attack."""

from loadtests.neighbour import Sample, summarize


def test_a_summary_has_the_worst_wait_without_stolen_time():
    waits = summarize([Sample(0, 2.0, 200, 1.8), Sample(2, 0.5, 200), Sample(3, 0.1, 200, 0.3)])
    assert (waits.worst_seconds, waits.worst_undisturbed_seconds) == (2.0, 0.5)

"""The report on hostile clients finds what is wrong."""

from loadtests.neighbour import Sample, summarize


def test_a_wait_does_not_count_what_the_host_stole():
    waits = summarize([Sample(0, 2.0, 200, 1.8), Sample(2, 0.5, 200), Sample(3, 0.1, 200, 0.3)])
    assert (waits.worst_seconds, waits.worst_undisturbed_seconds) == (2.0, 0.5)

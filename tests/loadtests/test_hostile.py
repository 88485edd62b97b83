"""The report on hostile clients finds what is wrong."""

import math
from collections import Counter

from loadtests.chaos.hostile.attack import Attack
from loadtests.chaos.hostile.report import Memory, Row
from loadtests.neighbour import Sample, Waits, summarize

ATTACK = Attack("an attack", list)


def row(
    attack: Attack = ATTACK,
    worst: float = 0.1,
    neighbour: int = 200,
    after: float = 110.0,
    failures=(),
    **statuses: int,
) -> Row:
    answers = Counter({int(status.removeprefix("s")): count for status, count in statuses.items()})
    waits = Waits(worst + 0.05, worst, worst / 2, Counter({200: 9, neighbour: 1}))
    return Row(attack, 1.0, answers, waits, Memory(100.0, 150.0, after), list(failures))


def test_each_fault_is_found():
    assert row(worst=0.251).faults() == ["the neighbour waited 251 ms without what the host stole, more than 250"]
    assert row(worst=math.nan).faults() == ["the neighbour waited - ms without what the host stole, more than 250"]
    assert row(neighbour=429).faults() == ["the neighbour was answered 1 x 429"]
    assert row(neighbour=0).faults() == ["the neighbour was answered 1 x no answer"]
    assert row(s500=2, s422=1).faults() == ["the attacker was answered 2 x 500"]
    assert row(s0=2).faults() == ["the attacker got no answer to 2 of its requests"]
    assert row(failures=["it did not come back"]).faults() == ["it did not come back"]


def test_a_wait_does_not_count_what_the_host_stole():
    waits = summarize([Sample(0, 2.0, 200, 1.8), Sample(2, 0.5, 200), Sample(3, 0.1, 200, 0.3)])
    assert (waits.worst_seconds, waits.worst_undisturbed_seconds) == (2.0, 0.5)

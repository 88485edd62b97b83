"""The report on hostile clients finds what is wrong."""

import math
from collections import Counter

import pytest

from loadtests.chaos.hostile.attack import BODY_BYTES, Attack
from loadtests.chaos.hostile.play import ATTACKS, chosen
from loadtests.chaos.hostile.report import WIDTH, Memory, Row, markdown, memory_line
from loadtests.neighbour import Waits

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


def test_an_attack_without_effect_has_no_fault():
    assert row(s200=1, s413=2, s503=3, s504=4).faults() == []


def test_each_fault_is_found():
    assert row(worst=0.251).faults() == ["the neighbour waited 251 ms without what the host stole, more than 250"]
    assert row(worst=math.nan).faults() == ["the neighbour waited - ms without what the host stole, more than 250"]
    assert row(neighbour=429).faults() == ["the neighbour was answered 1 x 429"]
    assert row(neighbour=0).faults() == ["the neighbour was answered 1 x no answer"]
    assert row(s500=2, s422=1).faults() == ["the attacker was answered 2 x 500"]
    assert row(s0=2).faults() == ["the attacker got no answer to 2 of its requests"]
    assert row(failures=["it did not come back"]).faults() == ["it did not come back"]


def test_an_attack_may_allow_more():
    lenient = Attack("an attack", list, neighbour_may_get=frozenset({200, 503}), may_lack_answers=True)
    assert row(lenient, neighbour=503, s0=1).faults() == []


def test_memory_may_grow_by_thirty_megabytes():
    assert memory_line(140.0, 170.0).endswith(" ok")
    assert memory_line(140.0, 171.0).endswith(" FAIL")
    assert len(memory_line(1400.0, 1410.0)) <= WIDTH


def test_the_tables_have_a_line_for_each_attack():
    assert str(row(s422=3)).splitlines() == [
        "an attack                                   150  100   50   100   150   110   ok",
        "  seen:  3 x 422; 1.0 s",
    ]
    assert "FAULT" in str(row(worst=1.0))
    assert markdown([row(s422=3)]).splitlines()[-1] == "| an attack | 3 x 422 | 150 | 100 | 50 | 100, 150, 110 |"


def test_attacks_are_chosen_by_words_in_their_names_and_the_scenario_is_all_of_them():
    assert chosen([]) == chosen(["hostile"]) == ATTACKS
    assert [attack.name for attack in chosen(["trailers"])] == ["megabytes of trailers", "trailers that set headers"]
    assert chosen(["disk"]) == []


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_name_of_an_attack_fits_the_table_and_its_requests_the_limits(attack):
    assert len(str(Row(attack, 1.0, Counter(), row().waits, row().memory)).splitlines()[0]) <= WIDTH
    for request in attack.requests():
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith((b"POST /", b"GET /"))
        assert len(body) <= 2 * BODY_BYTES

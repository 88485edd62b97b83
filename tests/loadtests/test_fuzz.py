"""The reports of the fuzz and of hostile clients find wrong answers and stalls."""

import pytest

from loadtests.fuzz.cases import Case
from loadtests.fuzz.play import Outcome
from loadtests.fuzz.report import fault_of, stalls
from loadtests.neighbour import Sample, summarize
from loadtests.wire import Exchange


def outcome(*statuses: int, must_answer: bool = True, answers: int = 1, began: float = 0.0, **seen) -> Outcome:
    case = Case(7, "bodies", [b"content"], answers, must_answer)
    return Outcome(case, Exchange(list(statuses), len(statuses), **seen), began, began + 1)


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        *((outcome(status), None) for status in (200, 404, 422, 501, 503, 504)),
        (outcome(must_answer=False), None),
        (outcome(500), "answered 500"),
        (outcome(200, 502, answers=2), "answered 502"),
        (outcome(), "0 of 1 answers came whole, then nothing"),
        (outcome(200, answers=2, closed=True), "1 of 2 answers came whole, then the connection was closed"),
        (outcome(200, answers=2, closed=True, says_close=True), None),
        (outcome(400, answers=2, closed=True, says_close=True), "1 of 2 answers came whole"),
        (outcome(answers=2, closed=True, says_close=True), "0 of 2 answers came whole"),
        (outcome(200, malformed="bad"), "not HTTP: bad"),
    ],
)
def test_faults_of_answers_are_found(seen, fault):
    found = fault_of(seen)
    assert found is None if fault is None else fault in (found or "")


def test_a_stall_is_found_unless_the_neighbour_had_no_processor():
    cases = [
        Outcome(Case(n, "bodies", []), outcome(200).exchange, began, began + 1) for n, began in ((1, 0.0), (2, 0.7))
    ]
    (fault,) = stalls([Sample(0.1, 0.2, 200), Sample(0.5, 1.0, 200), Sample(0.5, 1.0, 200, 0.76)], cases)
    assert fault.endswith("most likely for one of the cases 2, 1")
    faults = stalls([Sample(0, 0.1, 429), Sample(1, 0.1, 0), Sample(2, 0.1, 200)], [])
    assert faults == ["the neighbour was answered 429", "the neighbour was answered none"]


def test_a_wait_does_not_count_what_was_a_wait_for_a_processor():
    waits = summarize([Sample(0, 2.0, 200, 1.8), Sample(2, 0.5, 200), Sample(3, 0.1, 200, 0.3)])
    assert (waits.worst_seconds, waits.worst_undisturbed_seconds) == (2.0, 0.5)

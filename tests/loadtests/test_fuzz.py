"""The fuzz: its cases are the same by seed and number, and its report finds what is wrong."""

from collections import Counter

from loadtests.fuzz.cases import KINDS, Case, make
from loadtests.fuzz.play import Outcome
from loadtests.fuzz.report import Tally, fault_of, stalls
from loadtests.fuzz.valid import BODIES, endpoints
from loadtests.neighbour import Sample
from loadtests.wire import Exchange
from service.http.app import create_routes
from tests.http.scene import made_context

ENDPOINTS = endpoints(create_routes(made_context()).openapi())


def outcome(*statuses: int, must_answer: bool = True, answers: int = 1, began: float = 0.0, **seen) -> Outcome:
    case = Case(7, "bodies", [b"content"], answers, must_answer)
    return Outcome(case, Exchange(list(statuses), len(statuses), **seen), began, began + 1)


def test_a_case_is_made_of_its_seed_and_number_alone():
    first = [make(1, number, ENDPOINTS) for number in range(300)]
    assert first == [make(1, number, ENDPOINTS) for number in range(300)]
    assert first[42] != make(2, 42, ENDPOINTS)
    assert {case.kind for case in first} == set(KINDS)


def test_every_endpoint_gets_requests_and_every_task_has_valid_ones():
    posts = {endpoint.path for endpoint in ENDPOINTS if endpoint.method == "POST"}
    assert posts - set(BODIES) == {"/v2/models/{name}/versions/{version}/infer"}
    sent = b"".join(b"".join(make(1, number, ENDPOINTS).pieces)[:200] for number in range(3000))
    for endpoint in ENDPOINTS:
        fixed = endpoint.path.partition("{")[0]
        assert f"{endpoint.method} {fixed}".encode() in sent, endpoint


def test_an_answer_below_500_or_503_or_504_is_no_fault():
    for status in (200, 404, 422, 503, 504):
        assert fault_of(outcome(status)) is None


def test_a_500_is_a_fault_in_any_of_a_case_s_answers():
    assert fault_of(outcome(500)) == "answered 500"
    assert fault_of(outcome(200, 500, answers=2)) == "answered 500"
    assert fault_of(outcome(502, must_answer=False)) == "answered 502"


def test_an_answer_that_does_not_come_is_a_fault_where_the_request_is_well_formed():
    assert "0 of 1 answers came whole, then nothing" in (fault_of(outcome()) or "")
    fault = fault_of(outcome(200, answers=2, closed=True))
    assert "1 of 2 answers came whole, then the connection was closed" in (fault or "")
    assert fault_of(outcome(must_answer=False)) is None


def test_an_answer_that_is_no_http_is_a_fault():
    assert "not HTTP: bad" in (fault_of(outcome(200, malformed="bad")) or "")


def test_a_stall_names_the_cases_that_were_under_way_for_longest():
    early, late, after = outcome(200, began=0.0), outcome(200, began=0.7), outcome(200, began=5.0)
    cases = [(early, 1), (late, 2), (after, 3)]
    outcomes = [Outcome(Case(n, "bodies", []), one.exchange, one.began, one.ended) for one, n in cases]
    (fault,) = stalls([Sample(0.1, 0.2, 200), Sample(0.5, 1.0, 200)], outcomes)
    waited = "the neighbour waited 1000 ms, of which the host stole 0"
    assert fault == f"{waited}, most likely for one of the cases 2, 1"


def test_a_wait_for_time_that_the_host_stole_is_no_stall():
    assert stalls([Sample(0.0, 1.0, 200, 0.76)], []) == []
    assert stalls([Sample(0.0, 1.0, 200, 0.74)], []) != []


def test_a_neighbour_that_is_refused_or_cut_off_is_a_fault():
    faults = stalls([Sample(0, 0.1, 429), Sample(1, 0.1, 0), Sample(2, 0.1, 200)], [])
    assert faults == ["the neighbour was answered 429", "the neighbour was answered none"]


def test_the_table_counts_cases_and_statuses_by_kind():
    tally = Tally()
    for one in (outcome(200), outcome(200, 404, answers=2), outcome()):
        tally.add(one)
    head, line = str(tally).splitlines()
    assert head.split() == ["kind", "cases", "200", "404", "none"]
    assert line.split() == ["bodies", "3", "2", "1", "1"]
    assert Counter(line.split())["1"] == 2

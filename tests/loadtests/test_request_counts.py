"""The checks of the requests that were sent during a scenario."""

from collections import Counter

from loadtests.chaos.request_counts import RequestCounts

TAG, CLASSIFY = "/tag", "/classify"


def some_counts(**changes) -> RequestCounts:
    made = RequestCounts(sent=3)
    made.answered(TAG, 200, 0.1)
    made.answered(TAG, 200, 0.2)
    made.answered(CLASSIFY, 503, 0.3)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def faults(of: RequestCounts, allowed=frozenset({200, 503}), may_lose=0, bound=1.0) -> str:
    return "; ".join(of.faults(set(allowed), may_lose, bound))


def test_each_fault_is_found():
    assert faults(some_counts()) == ""
    assert "4 requests were sent and 3 accounted for" in faults(some_counts(sent=4))
    assert "1 requests hung" in faults(some_counts(sent=4, hung=1))
    assert "2 requests were lost, 1 could be" in faults(some_counts(sent=5, lost=2), may_lose=1)
    assert "1 x 503" in faults(some_counts(), allowed={200})
    assert "took 0.3 s" in faults(some_counts(), bound=0.25)


def test_metrics_must_count_what_clients_saw():
    seen = Counter({(TAG, 200): 2, (CLASSIFY, 503): 1})
    assert some_counts().disagreements(seen) == []
    assert some_counts().disagreements(seen - Counter({(TAG, 200): 1})) == [
        "/metrics counts 1 x 200 of /tag, clients saw 2"
    ]
    assert "1 answers more" in some_counts().disagreements(seen + Counter({(TAG, 499): 1}))[0]


def test_a_lost_request_may_be_counted_or_an_answer_before_it_not():
    cut = some_counts(sent=4, lost=1)
    seen = Counter({(TAG, 200): 2, (CLASSIFY, 503): 1})
    assert cut.disagreements(seen - Counter({(TAG, 200): 1})) == []
    assert cut.disagreements(seen + Counter({(TAG, 200): 1})) == []
    assert cut.disagreements(seen + Counter({(TAG, 200): 2})) != []

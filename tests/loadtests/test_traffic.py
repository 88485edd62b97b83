"""What the figures' loads ask."""

from collections import Counter
from itertools import islice

from loadtests.traffic import LONG_WORDS, mixed, requests


def test_ewt_has_the_sentences_of_its_test_part_in_length():
    lengths = [len(words) for request in requests("ewt") for words in request.body["tokens"]]
    assert (len(lengths), sum(lengths)) == (2077, 25094)  # sentences and words of EWT r2.16


def test_one_in_fifty_is_long_and_not_timed():
    asked = list(requests("long"))
    long = [request for request in asked if not request.timed]
    assert len(asked) == 50 * len(long)
    assert {len(request.body["tokens"][0]) for request in long} == {LONG_WORDS}


def test_mixed_traffic_is_never_the_same():
    first, second = (list(islice(mixed(), 100)) for _ in range(2))
    assert {request.endpoint for request in first} == {"tag", "classify", "generate"}
    assert first != second
    assert Counter(r.endpoint for r in first) == Counter(r.endpoint for r in second)

"""The requests of the loads."""

import json
import random
from collections import Counter
from itertools import islice

from loadtests.connection import encode, repeated
from loadtests.text import endless_text, running_text
from loadtests.traffic import KINDS, LONG_WORDS, Request, mixed, requests


def bodies(content: bytes):
    head, _, body = content.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head.decode().split("\r\n")
    return json.loads(body)


def test_requests_are_default_ones():
    assert [dict(request.body) for request in requests("tag")] == [{"text": s.text} for s in running_text()]


def test_every_kind_has_requests():
    for kind in KINDS:
        endpoints = {request.endpoint for request in islice(requests(kind), 100)}
        assert endpoints == {"tag", "classify", "generate"} if kind == "mixed" else len(endpoints) == 1


def test_one_in_fifty_is_long_and_not_timed():
    asked = list(requests("long"))
    long = [request for request in asked if not request.timed]
    assert len(asked) // 50 == len(long)
    assert {len(request.body["tokens"][0]) for request in long} == {LONG_WORDS}


def test_mixed_traffic_is_never_the_same():
    first, second = (list(islice(mixed(), 100)) for _ in range(2))
    assert first != second
    assert Counter(r.endpoint for r in first) == Counter(r.endpoint for r in second)


def test_what_is_sent_is_the_text_that_other_processes_read():
    """The bare step is timed on the requests of the client by their seed alone."""
    encoded = [encode("localhost", "", request) for request in requests("tag")]
    sent = [bodies(each.content)["text"] for each in islice(repeated(encoded, random.Random(5)), 6000)]
    assert sent == list(islice(endless_text(random.Random(5)), 6000))


def test_names_of_fields_are_never_spelled_anew():
    request = Request("generate", {"prompt": "a", "max_tokens": 1, "seed": 1, "temperature": 1, "lemmas": False})
    sent = next(repeated([encode("localhost", "", request)], random.Random(1)))
    assert bodies(sent.content) == request.body

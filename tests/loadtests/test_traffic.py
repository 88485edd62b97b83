"""The requests of the loads."""

import json
import random
from itertools import islice

from loadtests.connection import encode, repeated
from loadtests.text import endless_text
from loadtests.traffic import KINDS, LONG_WORDS, requests


def bodies(content: bytes):
    head, _, body = content.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head.decode().split("\r\n")
    return json.loads(body)


def test_every_kind_has_requests():
    for kind in KINDS:
        endpoints = {request.endpoint for request in islice(requests(kind), 100)}
        assert endpoints == {"tag", "classify", "generate"} if kind == "mixed" else len(endpoints) == 1


def test_one_in_fifty_is_long_and_not_timed():
    asked = list(requests("long"))
    long = [request for request in asked if not request.timed]
    assert len(asked) // 50 == len(long)
    assert {len(request.body["tokens"][0]) for request in long} == {LONG_WORDS}


def test_what_is_sent_is_the_text_that_other_processes_read():
    """The bare step is timed on the requests of the client by their seed alone."""
    encoded = [encode("localhost", "", request) for request in requests("tag")]
    sent = [bodies(each.content)["text"] for each in islice(repeated(encoded, random.Random(5)), 6000)]
    assert sent == list(islice(endless_text(random.Random(5)), 6000))

"""Gzip in both directions, from the real server."""

import gzip
import json

import pytest

from tests.http.test_problems import check

JSON = {"content-type": "application/json"}
ZIPPED = {**JSON, "content-encoding": "gzip"}
LONG = {"text": "The quick brown fox jumps over the lazy dog. " * 100}


def test_a_body_may_be_gzipped(client):
    plain = client.post("/tag", json=LONG)
    zipped = client.post("/tag", content=gzip.compress(json.dumps(LONG).encode()), headers=ZIPPED)
    assert zipped.status_code == 200
    assert len(zipped.json()["results"][0]["sentences"]) == len(plain.json()["results"][0]["sentences"]) == 100


@pytest.mark.parametrize(
    "body",
    [b"", b"not gzip", gzip.compress(b'{"text": "a"}')[:-4], gzip.compress(b'{"text": "a"}') + b"more"],
    ids=["empty", "not gzip", "cut", "more"],
)
def test_a_body_that_is_not_gzip_is_refused(client, body):
    found = check(client.post("/tag", content=body, headers=ZIPPED), 422)
    assert found.errors[0].pointer == "/headers/Content-Encoding"


def test_the_limit_holds_for_what_comes_out(client):
    bomb = gzip.compress(b'{"text": "' + b"a" * 300_000_000 + b'"}')
    assert len(bomb) < 4_194_304
    assert "4194304 bytes" in check(client.post("/tag", content=bomb, headers=ZIPPED), 413).detail


def test_a_body_just_below_the_limit_is_read_whole(client):
    body = json.dumps({"text": "a" * 4_000_000}).encode()
    assert "200000" in check(client.post("/tag", content=gzip.compress(body), headers=ZIPPED), 413).detail


@pytest.mark.parametrize(
    ("accept", "coding"), [("gzip", "gzip"), ("br, gzip;q=0.5", "gzip"), ("gzip;q=0", None), ("identity", None)]
)
def test_a_large_answer_is_gzipped_where_the_client_takes_it(client, accept, coding):
    response = client.post("/tag", json=LONG, headers={"accept-encoding": accept})
    assert response.headers.get("content-encoding") == coding
    assert response.headers["vary"] == "Accept-Encoding"
    assert (response.num_bytes_downloaded < len(response.content) / 5) == (coding == "gzip")
    assert len(response.json()["results"][0]["sentences"]) == 100


def test_a_small_answer_is_not_gzipped(client):
    response = client.post("/tag", json={"text": "A dog."}, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in response.headers

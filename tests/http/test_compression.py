"""Bodies that are gzipped, to the real server. See test_plain.py for answers."""

import gzip

import pytest

from tests.http.test_problems import check

ZIPPED = {"content-type": "application/json", "content-encoding": "gzip"}


@pytest.mark.parametrize(
    "body",
    [b"", b"not gzip", gzip.compress(b'{"text": "a"}')[:-4], gzip.compress(b'{"text": "a"}') + b"more"],
    ids=["empty", "not gzip", "cut", "more"],
)
def test_a_body_that_is_not_gzip_is_refused(client, body):
    found = check(client.post("/tag", content=body, headers=ZIPPED), 422)
    assert found.errors[0].pointer == "/headers/Content-Encoding"


def test_the_limit_holds_for_what_comes_out(client):
    bomb = gzip.compress(b'{"text": "' + b"a" * 100_000_000 + b'"}')
    assert len(bomb) < 4_194_304
    assert "4194304 bytes" in check(client.post("/tag", content=bomb, headers=ZIPPED), 413).detail

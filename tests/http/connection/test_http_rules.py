"""Rules of HTTP that the parser does not check, and answers to clients that speak HTTP/1.0."""

import pytest

from service.http.connection.http_rules import fault_of
from tests.engine.running import until
from tests.http.plain import running
from tests.http.wire import GET, post

EVENTS = b'{"prompt": "a", "max_tokens": 3, "seed": 1, "stream": true}'
HOST = (b"host", b"x")


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        ([HOST], "1.1", None),
        ([HOST, (b"transfer-encoding", b"Chunked")], "1.1", None),
        ([], "1.0", None),
        ([], "1.1", 400),
        ([HOST, HOST], "1.1", 400),
        ([HOST, HOST], "1.0", 400),
        ([HOST, (b"transfer-encoding", b"gzip, chunked")], "1.1", 501),
        ([HOST, (b"transfer-encoding", b"gzip"), (b"transfer-encoding", b"chunked")], "1.1", 501),
        ([(b"transfer-encoding", b"chunked")], "1.0", 400),
    ],
)
def test_what_the_parser_lets_pass_and_http_does_not(headers, version, status):
    assert getattr(fault_of(headers, version), "status_code", None) == status


async def test_a_stream_in_http_1_0_ends_with_its_connection_and_has_no_chunks():
    async with running() as service:
        _, wire = service.send(post("/generate", EVENTS).replace(b"HTTP/1.1", b"HTTP/1.0"))
        await until(lambda: wire.closed)
        head, _, body = b"".join(wire.written).partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head
        assert b"content-length" not in head
        assert b"connection: close" in head
        assert body.startswith(b"event: ") or body.startswith(b"data: ")
        assert body.endswith(b"\n\n")
        _, wire = service.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
        await until(lambda: wire.closed)
        assert wire.answers()[0][2] == {"status": "alive"}

"""Answers to clients that speak HTTP/1.0."""

from tests.engine.running import until
from tests.http.plain import running
from tests.http.wire import GET, post

EVENTS = b'{"prompt": "a", "max_tokens": 3, "seed": 1, "stream": true}'


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

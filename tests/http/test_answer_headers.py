"""Every kind of answer has X-Content-Type-Options and X-Request-ID, and every 429 and 503 has Retry-After."""

from typing import Any

import pytest

from service.api.app import create_app
from service.api.protocols.tensors import HEADER
from service.http.problem import HTTP, MAX_HEAD_BYTES, TABLE
from service.types import State
from tests.artifact.test_manifest import write_version
from tests.fakes import failing
from tests.http.running import lifespan
from tests.http.scene import SequenceModelDevice, keyed, made_context
from tests.http.test_refusing import away, full
from tests.http.wire import application, connect, post
from tests.waiting import iterations, until

ORIGIN = "Origin: https://example.org"
STATUSES = {status for _, status, _, _ in TABLE} | set(HTTP) | {200}
NOT_SENT = {499, 507}  # its client has gone; the disk is full, see test_feedback.py


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers]).encode() + b"\r\n\r\n"


def preflight(origin: str) -> bytes:
    lines = ("OPTIONS /tag HTTP/1.1", "Host: x", f"Origin: {origin}", "Access-Control-Request-Method: POST")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def test_every_kind_of_answer_has_the_headers_that_all_have(tmp_path, monkeypatch):
    authenticator, keys = keyed(tmp_path / "keys.json", "web", "boss", "rare")
    write_version(tmp_path / "store")
    device, web, boss = SequenceModelDevice(), keys["web"], keys["boss"]
    origin, store = ORIGIN.split()[1], tmp_path / "store"
    options: dict[str, Any] = {"max_body_bytes": 1000, "serving_file": "/proc/nowhere/serving.json"}
    context = made_context(device, authenticator, cors_origins=(origin,), model_store=store, **options)
    app, found = create_app(context), set[int]()

    async def ask(expected: int, request: bytes, *, late: bool = False) -> dict[str, str]:
        """Sends a request over a connection of its own, checks the head of the answer, and returns its headers."""
        connection, wire = connect(context, app)
        connection.data_received(request)
        if late:
            await iterations()
            connection._give_up()
        await until(lambda: b"\r\n\r\n" in b"".join(wire.written))
        first, *lines = b"".join(wire.written).partition(b"\r\n\r\n")[0].decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert int(first.split()[1]) == expected, request
        assert headers["x-content-type-options"] == "nosniff", request
        assert len(headers["x-request-id"]) == 32, request
        assert expected not in (429, 503) or int(headers["retry-after"]) >= 1, request
        found.add(expected)
        connection.connection_lost(None)
        await iterations()
        return headers

    async def task(expected: int, *headers: str, path: str = "/classify", body: bytes = b'{"text": "fine"}') -> None:
        await ask(expected, post(path, body, web, *headers))

    await ask(503, get("/readyz"))
    await ask(503, get("/v2/health/ready"))
    await task(503, path="/tag")
    async with lifespan(app):
        await until(context.ready)
        await task(200)
        allowed = await ask(200, post("/classify", b'{"text": "fine"}', web, ORIGIN))
        assert allowed["access-control-allow-origin"] == origin
        assert {"Retry-After", HEADER} <= set(allowed["access-control-expose-headers"].split(", "))
        await task(200, path="/generate", body=b'{"prompt": "a", "max_tokens": 2, "stream": true}')
        await ask(200, post("/classify", b'{"text": "fine"}\n', web).replace(b"/json", b"/x-ndjson"))
        for path in ("/", "/docs", "/livez", "/metrics", "/openapi.json", "/readyz"):
            await ask(200, get(path))
        await ask(404, get("/page/style.css"))
        assert (await ask(200, preflight(origin)))["access-control-allow-methods"] == "GET, HEAD, POST"
        assert "access-control-allow-origin" not in await ask(400, preflight("https://example.com"))
        await task(400, body=b"{")
        await ask(400, b"nonsense\r\n\r\n")
        await ask(400, get("/livez", "Connection: Upgrade", "Upgrade: websocket"))
        refused = await ask(401, post("/classify", b"{}", ORIGIN))
        assert refused["access-control-allow-origin"] == origin
        await ask(403, get("/models", boss))
        await ask(404, get("/nothing", web))
        await task(404, body=b'{"text": "fine", "model": "nobody"}')
        await ask(405, get("/tag", web))
        await task(406, "Accept: image/png")
        await ask(408, post("/classify", b"{", web, length=9), late=True)
        await ask(409, post("/admin/models/tagger-en", b'{"action": "use"}', boss))
        await task(413, body=bytes(2000))
        await ask(415, post("/classify", b"{}", web).replace(b"application/json", b"text/plain"))
        await task(422, body=b'{"text": 7}')
        for status in (200, 429):
            await ask(status, post("/classify", b'{"text": "fine"}', keys["rare"]))
        assert context.metrics.registry.get_sample_value("tagwerk_rejected_total", {"reason": "rate-limited"}) == 1
        await ask(431, get("/livez", "X-Long: " + "a" * MAX_HEAD_BYTES))
        await ask(501, get("/livez", "Transfer-Encoding: gzip, chunked"))
        device.failure = failing()
        await task(500)
        device.failure = None
        monkeypatch.setattr("service.pipelines.classification.encode", lambda *arguments: 1 / 0)
        await task(500)
        await ask(500, application(post("/classify", b'{"text": "fine"}', web)))
        monkeypatch.undo()
        device.go.clear()
        await task(504, "X-Request-Timeout-Ms: 1")
        device.go.set()
        away(context)
        await task(503)
        full(context)
        await task(429)
        context.draining = True
        await ask(503, get("/readyz"))
    assert context.engine.state is State.STOPPED
    assert found >= STATUSES - NOT_SENT


@pytest.mark.parametrize(("origins", "allowed"), [((), None), (("*",), "*"), (("https://example.com",), None)])
async def test_an_origin_may_read_answers_where_the_option_allows_it(origins, allowed):
    connection, wire = connect(made_context(cors_origins=origins))
    connection.data_received(get("/livez", ORIGIN))
    await until(wire.statuses)
    assert wire.answers()[0].header("access-control-allow-origin") == allowed

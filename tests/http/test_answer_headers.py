"""Every kind of answer has X-Content-Type-Options and X-Request-ID, and every 429 and 503 has Retry-After."""

from pathlib import Path

import pytest
from starlette.types import ASGIApp

from service.api.app import create_app
from service.http.context import Context
from service.http.problem import HTTP, MAX_HEAD_BYTES, TABLE
from service.security.keys import Authenticator, add_key
from service.security.rate_limiter import RateLimiter
from service.types import State
from tests.artifact.test_manifest import write_version
from tests.engine.running import until
from tests.fakes import failing
from tests.http.scene import SequenceModelDevice, lifespan, made_context
from tests.http.test_refusing import away, full
from tests.http.wire import application, connect, post, turns

ORIGIN = "Origin: https://example.org"
STATUSES = {status for _, status, _, _ in TABLE} | set(HTTP) | {200}
NOT_SENT = {499, 507}  # its client has gone; the disk is full, see test_feedback.py


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers]).encode() + b"\r\n\r\n"


def preflight(origin: str) -> bytes:
    lines = ("OPTIONS /tag HTTP/1.1", "Host: x", f"Origin: {origin}", "Access-Control-Request-Method: POST")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Walk:
    """Sends requests to an application, each over a connection of its own, and checks the head of each answer."""

    def __init__(self, context: Context, app: ASGIApp) -> None:
        self.context, self.app = context, app
        self.found: set[int] = set()

    async def ask(self, request: bytes, expected: int, *, late: bool = False) -> dict[str, str]:
        """Returns the headers of the answer."""
        connection, wire = connect(self.context, self.app)
        connection.data_received(request)
        if late:
            await turns()
            connection._give_up()
        await until(lambda: b"\r\n\r\n" in b"".join(wire.written))
        first, *lines = b"".join(wire.written).partition(b"\r\n\r\n")[0].decode().split("\r\n")
        status = int(first.split()[1])
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert status == expected, request
        assert headers["x-content-type-options"] == "nosniff", (status, request)
        assert len(headers["x-request-id"]) == 32, (status, request)
        if status in (429, 503):
            assert int(headers["retry-after"]) >= 1, request
        self.found.add(status)
        connection.connection_lost(None)
        await turns()
        return headers


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Authenticator, dict[str, str]]:
    path = tmp_path / "keys.json"
    scopes = {"web": ("infer", None), "boss": ("admin", None), "rare": ("infer", 0.001)}
    secrets = {name: add_key(path, name, [scope], requests_per_second=rate) for name, (scope, rate) in scopes.items()}
    return Authenticator(path, RateLimiter()), {
        name: f"Authorization: Bearer {secret}" for name, secret in secrets.items()
    }


async def test_every_kind_of_answer_has_the_headers_that_all_have(keys, tmp_path, monkeypatch):
    authenticator, key = keys
    write_version(tmp_path / "store")
    device = SequenceModelDevice()
    context = made_context(
        device,
        authenticator,
        cors_origins=(ORIGIN.split()[1],),
        max_body_bytes=1000,
        model_store=tmp_path / "store",
        serving_file="/proc/nowhere/serving.json",
    )
    app = create_app(context)
    walk = Walk(context, app)
    ask = walk.ask
    await ask(get("/readyz"), 503)
    await ask(get("/v2/health/ready"), 503)
    await ask(post("/tag", b'{"text": "fine"}', key["web"]), 503)
    async with lifespan(app):
        await until(context.ready)
        web = key["web"]

        async def fine(expected: int, *headers: str, path: str = "/classify", body: bytes = b"") -> None:
            await ask(post(path, body or b'{"text": "fine"}', web, *headers), expected)

        await fine(200)
        await fine(200, ORIGIN)
        await fine(200, path="/generate", body=b'{"prompt": "a", "max_tokens": 2, "stream": true}')
        await ask(post("/classify", b'{"text": "fine"}\n', web).replace(b"/json", b"/x-ndjson"), 200)
        for path in ("/", "/docs", "/page/style.css", "/livez", "/metrics", "/openapi.json", "/readyz"):
            await ask(get(path), 404 if path == "/page/style.css" else 200)
        await ask(preflight(ORIGIN.split()[1]), 200)
        await ask(preflight("https://example.com"), 400)
        await fine(400, body=b"{")
        await ask(b"nonsense\r\n\r\n", 400)
        await ask(get("/livez", "Connection: Upgrade", "Upgrade: websocket"), 400)
        refused = await ask(post("/classify", b"{}", ORIGIN), 401)
        assert refused["access-control-allow-origin"] == ORIGIN.split()[1]
        await ask(get("/models", key["boss"]), 403)
        await ask(get("/nothing", web), 404)
        await fine(404, body=b'{"text": "fine", "model": "nobody"}')
        await ask(get("/tag", web), 405)
        await fine(406, "Accept: image/png")
        await ask(post("/classify", b"{", web, length=9), 408, late=True)
        await ask(post("/admin/models/tagger-en", b'{"action": "use"}', key["boss"]), 409)
        await fine(413, body=bytes(2000))
        await ask(post("/classify", b"{}", web).replace(b"application/json", b"text/plain"), 415)
        await fine(422, body=b'{"text": 7}')
        await ask(post("/classify", b'{"text": "fine"}', key["rare"]), 200)
        await ask(post("/classify", b'{"text": "fine"}', key["rare"]), 429)
        await ask(get("/livez", "X-Long: " + "a" * MAX_HEAD_BYTES), 431)
        await ask(get("/livez", "Transfer-Encoding: gzip, chunked"), 501)
        device.failure = failing()
        await fine(500)
        device.failure = None
        monkeypatch.setattr("service.pipelines.classification.encode", lambda *arguments: 1 / 0)
        await fine(500)
        await ask(application(post("/classify", b'{"text": "fine"}', web)), 500)
        monkeypatch.undo()
        device.go.clear()
        await fine(504, "X-Request-Timeout-Ms: 1")
        device.go.set()
        away(context)
        await fine(503)
        full(context)
        await fine(429)
        context.draining = True
        await ask(get("/readyz"), 503)
    assert context.engine.state is State.STOPPED
    assert walk.found >= STATUSES - NOT_SENT

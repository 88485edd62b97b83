"""Requests to the tasks are answered round FastAPI, and nobody can tell from the answers."""

import pytest

from service.api import infer
from service.http.middleware import Dispatcher, RequestContextMiddleware
from tests.http.running import scene
from tests.http.scene import made_context
from tests.http.test_problems import check
from tests.http.wire import connect, post
from tests.waiting import iterations, until

PLAIN, CHARSET = "application/json", "application/json; charset=utf-8"


EMPTY = "the body is empty; allowed: a JSON object"
NO_JSON = {b"": EMPTY, b" \r\n": EMPTY, b"{": "", b'{"text": "\xff"}': "", b'{"text": "\\ud800"}': ""}
NO_JSON |= {b'{"text": "a"} x': "", b"[" * 100_000: ""}


@pytest.mark.parametrize("path", ["/tag", "/classify", "/generate", "/v1/completions", "/v2/models/classifier/infer"])
async def test_what_is_no_json_is_refused(path):
    async with scene() as client:
        for content, detail in NO_JSON.items():
            found = check(await client.post(path, content=content, headers={"content-type": PLAIN}), 400)
            assert found.type.endswith(":invalid-json")
            assert found.detail.startswith(detail)


@pytest.mark.parametrize("media_type", [PLAIN, CHARSET, "application/x-ndjson", "text/plain"])
@pytest.mark.parametrize("content", [b'{"text": "fine"}\n', b"{}\n", b'{"text": 7}\n', b"{\n"])
async def test_fastapi_is_not_asked_whatever_the_body_is(media_type, content):
    asked: list[object] = []

    async def fastapi(*arguments: object) -> None:
        asked.append(arguments)

    context = made_context()
    app = RequestContextMiddleware(Dispatcher(fastapi, context, infer.router.routes), context)
    connection, wire = connect(context, app)
    connection.data_received(post("/classify", content).replace(b"application/json", media_type.encode()))
    await until(lambda: wire.written)
    assert not asked


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/metrics", "/", "/docs", "/models"])
async def test_head_is_answered_as_get_without_a_body(path):
    async with scene() as client:
        got, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.headers["content-type"]) == (200, got.headers["content-type"])
        counted = (await client.get("/metrics")).text
        assert f'tagwerk_requests_total{{route="{path}",status="200"}} 2.0' in counted


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
async def test_the_server_sends_no_body_for_head(path):
    context = made_context()
    connection, wire = connect(context)
    connection.data_received(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await until(lambda: wire.written)
    await iterations()
    head, _, body = b"".join(wire.written).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200" if path == "/metrics" else b"HTTP/1.1 503")
    assert b"content-length: 0" not in head
    assert body == b""


async def test_a_method_that_is_not_allowed_is_told_those_that_are():
    async with scene() as client:
        refused = await client.post("/metrics")
        assert refused.headers["allow"] == "GET, HEAD"
        assert check(refused, 405).detail == "POST is not for /metrics; allowed: GET, HEAD"
        refused = await client.head("/tag")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/tag/", "/healthz/", "/v2/", "/v1/models/", "/v2/models/classifier/infer//"])
async def test_a_path_with_a_slash_at_its_end_is_refused_with_the_one_without(path, method):
    async with scene() as client:
        refused = await client.request(method, path, json={"text": "fine"}, headers={"x-forwarded-proto": "https"})
        detail = check(refused, 404).detail
        assert detail == f"there is nothing at {path}; did you mean {path.rstrip('/')}? /docs lists what there is"
        assert "location" not in refused.headers

"""Requests to the tasks are answered round FastAPI, and nobody can tell from the answers."""

import asyncio
import json

import pytest

from service.http import infer
from service.http.middleware import Envelope
from service.http.shortcut import Shortcut
from tests.http.scene import made_context, scene
from tests.http.test_problems import check

PLAIN, CHARSET = "application/json", "application/json; charset=utf-8"
BODIES = [
    ("/tag", {"text": "Time flies."}),
    ("/tag", {"tokens": [["Time", "flies"]]}),
    ("/classify", {"text": ["A fine film.", "Fine."]}),
    ("/generate", {"prompt": "abc", "max_tokens": 5, "seed": 1}),
    ("/tag", {}),
    ("/tag", {"text": "a", "model": "none"}),
    ("/classify", {"text": None}),
    ("/classify", []),
    ("/generate", {"prompt": "a", "max_tokens": 10**9}),
]


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_the_charset_of_a_media_type_makes_no_difference(path, body):
    async def test() -> None:
        async with scene() as client:
            plain, charset = [
                await client.post(path, content=json.dumps(body), headers={"content-type": media_type})
                for media_type in (PLAIN, CHARSET)
            ]
            assert plain.status_code == charset.status_code
            assert plain.json() == charset.json()
            assert plain.headers.keys() == charset.headers.keys()

    asyncio.run(test())


@pytest.mark.parametrize("path", ["/tag", "/classify", "/generate", "/v1/completions"])
@pytest.mark.parametrize("content", [b"", b"{", b'{"text": "\xff"}', b'{"text": "a"} x', b"[" * 100_000])
def test_what_is_no_json_is_refused(path, content):
    async def test() -> None:
        async with scene() as client:
            found = check(await client.post(path, content=content, headers={"content-type": PLAIN}), 400)
            assert found.type.endswith(":invalid-json")

    asyncio.run(test())


@pytest.mark.parametrize("media_type", [PLAIN, CHARSET, "application/x-ndjson", "text/plain"])
@pytest.mark.parametrize("content", [b'{"text": "fine"}\n', b"{}\n", b'{"text": 7}\n', b"{\n"])
def test_fastapi_is_not_asked_whatever_the_body_is(media_type, content):
    async def fastapi(*_: object) -> None:
        pytest.fail("FastAPI was asked")

    statuses: list[int] = []

    async def test() -> None:
        app = Envelope(Shortcut(fastapi, infer.router.routes), made_context())
        headers = [(b"content-type", media_type.encode())]
        scope = {"type": "http", "method": "POST", "path": "/classify", "headers": headers, "query_string": b""}

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await app(scope, receive, send)

    asyncio.run(test())
    assert len(statuses) == 1


def test_requests_are_counted_by_their_route():
    async def test() -> None:
        async with scene() as client:
            for media_type in (PLAIN, CHARSET):
                await client.post("/classify", content=b'{"text": "fine"}', headers={"content-type": media_type})
                large = await client.post("/tag", content=b" " * 5_000_000, headers={"content-type": media_type})
                assert large.status_code == 413
            counted = (await client.get("/metrics")).text
            assert 'tagwerk_requests_total{route="/classify",status="200"} 2.0' in counted
            assert 'tagwerk_requests_total{route="/tag",status="413"} 2.0' in counted

    asyncio.run(test())

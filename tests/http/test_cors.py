"""Cross-origin requests, as the option allows them."""

import asyncio

import httpx

from service.api.protocols.tensors import HEADER
from tests.http.scene import scene

PAGE = "https://example.org"


def ask(origins: tuple[str, ...], method: str, **headers: str) -> httpx.Response:
    async def send() -> httpx.Response:
        async with scene(cors_origins=origins) as client:
            return await client.request(method, "/livez", headers={"Origin": PAGE, **headers})

    return asyncio.run(send())


def preflight(origins: tuple[str, ...]) -> httpx.Response:
    wishes = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    return ask(origins, "OPTIONS", **wishes)


def test_an_origin_that_is_allowed_may_ask_and_read_the_headers():
    answer = preflight((PAGE, "http://localhost:3000"))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    got = ask((PAGE,), "GET")
    assert got.headers["access-control-allow-origin"] == PAGE
    assert {"Retry-After", HEADER} <= set(got.headers["access-control-expose-headers"].split(", "))
    assert ask(("*",), "GET").headers["access-control-allow-origin"] == "*"


def test_no_other_origin_may():
    assert "access-control-allow-origin" not in preflight(("https://example.com",)).headers
    assert "access-control-allow-origin" not in ask((), "GET").headers

"""Cross-origin requests, as the option allows them."""

import httpx

from service.api.protocols.tensors import HEADER
from tests.http.scene import scene

PAGE = "https://example.org"


async def ask(origins: tuple[str, ...], method: str, **headers: str) -> httpx.Response:
    async with scene(cors_origins=origins) as client:
        return await client.request(method, "/livez", headers={"Origin": PAGE, **headers})


async def preflight(origins: tuple[str, ...]) -> httpx.Response:
    wishes = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    return await ask(origins, "OPTIONS", **wishes)


async def test_an_origin_that_is_allowed_may_ask_and_read_the_headers():
    answer = await preflight((PAGE, "http://localhost:3000"))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    got = await ask((PAGE,), "GET")
    assert got.headers["access-control-allow-origin"] == PAGE
    assert {"Retry-After", HEADER} <= set(got.headers["access-control-expose-headers"].split(", "))
    assert (await ask(("*",), "GET")).headers["access-control-allow-origin"] == "*"


async def test_no_other_origin_may():
    assert "access-control-allow-origin" not in (await preflight(("https://example.com",))).headers
    assert "access-control-allow-origin" not in (await ask((), "GET")).headers

"""Whose a request is: the engine knows it by the number of its API key."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from service.api.app import create_app
from service.engine.requests import ANONYMOUS, Generation, Requests
from service.security.authenticator import Authenticator
from service.security.keys import add_key, client_of, read_keys
from service.security.rate_limiter import RateLimiter
from tests.engine.running import until
from tests.http.scene import lifespan, made_context

REQUESTS = {
    "/tag": {"text": "Fine."},
    "/classify": {"text": "Fine."},
    "/generate": {"prompt": "a", "max_tokens": 2},
    "/v1/completions": {"model": "lm", "prompt": "a", "max_tokens": 2},
}


def clients_of(path: Path | None, secrets: list[str | None], lines: bool = False) -> list[set[int]]:
    """Sends each of the requests with each key; returns by key the clients for which the engine worked."""
    seen: set[int] = set()

    async def test() -> list[set[int]]:
        context = made_context(authenticator=Authenticator(path, RateLimiter()) if path else None)
        infer, generate = context.engine.infer, context.engine.generate

        def note_infer(request: Requests):
            seen.update(request.clients)
            return infer(request)

        def note_generate(request: Generation):
            seen.add(request.client)
            return generate(request)

        context.engine.infer, context.engine.generate = note_infer, note_generate  # type: ignore[method-assign]
        app, found = create_app(context), []
        async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            await until(context.ready)
            for secret in secrets:
                seen.clear()
                for route, body in REQUESTS.items():
                    if lines and route.startswith("/v1"):
                        continue
                    kind = "application/x-ndjson" if lines else "application/json"
                    headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {secret}"} if secret else {})
                    answer = await client.post(route, content=json.dumps(body), headers=headers)
                    assert answer.status_code == 200, answer.text
                found.append(set(seen))
        return found

    return asyncio.run(test())


@pytest.mark.parametrize("lines", [False, True], ids=["whole", "lines"])
def test_the_engine_works_for_the_client_whose_key_a_request_has(tmp_path, lines):
    path = tmp_path / "keys.json"
    secrets = [add_key(path, name, ["infer"]) for name in ("one", "two")]
    one, two = (client_of(key) for key in read_keys(path))
    assert clients_of(path, [*secrets], lines) == [{one}, {two}]
    assert ANONYMOUS not in (one, two)
    assert one != two


def test_without_keys_all_requests_are_of_one_client():
    assert clients_of(None, [None]) == [{ANONYMOUS}]

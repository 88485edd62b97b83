"""Load shedding: requests that do not fit the queue are refused before their texts are split, and counted once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from service.api.app import create_app
from service.http.context import Context
from service.security.authenticator import Authenticator
from service.security.keys import add_key
from service.security.rate_limiter import RateLimiter
from tests.engine.running import until
from tests.http.plain import answers, running
from tests.http.scene import SequenceModelDevice, lifespan, made_context
from tests.http.test_problems import check
from tests.http.test_refusing import away, full
from tests.http.wire import application, post, turns

QUEUE = 20  # sequences that the queue of a crowded service holds
FINE = {"text": "fine"}


def metric(context: Context, name: str, **labels: str) -> float:
    context.metrics.flush()
    return context.metrics.registry.get_sample_value(f"tagwerk_{name}", labels) or 0.0


class Crowd:
    """A service whose device does not finish, and requests that wait in its queue."""

    def __init__(self, context: Context, client: httpx.AsyncClient) -> None:
        self.context = context
        self.client = client
        self.waiting: list[asyncio.Task[httpx.Response]] = []

    async def wait(self, count: int, headers: dict[str, str] | None = None) -> None:
        """Sends requests that wait in the queue."""
        queued = metric(self.context, "tokenize_duration_seconds_count", model="classifier") + count
        for _ in range(count):
            request = self.client.post("/classify", json=FINE, headers=headers)
            self.waiting.append(asyncio.create_task(request))
        await until(lambda: metric(self.context, "tokenize_duration_seconds_count", model="classifier") == queued)


@asynccontextmanager
async def crowd(
    authenticator: Authenticator | None = None, headers: dict[str, str] | None = None
) -> AsyncIterator[Crowd]:
    """Yields a service one of whose requests runs; at the end all others are answered."""
    device = SequenceModelDevice()
    bounds: dict[str, Any] = {"max_items": QUEUE, "max_queue_tokens": 1000}
    context = made_context(device, authenticator, **bounds)
    app = create_app(context)
    async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        await until(context.ready)
        device.go.clear()
        device.busy.clear()
        made = Crowd(context, client)
        await made.wait(1, headers)
        await until(device.busy.is_set)
        yield made
        device.go.set()
        assert {(await task).status_code for task in made.waiting} == {200}


async def test_a_request_that_finds_the_queue_full_is_refused_before_its_text_is_split_and_counted_once():
    async with crowd() as here:
        await here.wait(QUEUE)
        for refused in range(1, 4):
            response = await here.client.post("/classify", json=FINE)
            detail = check(response, 429).detail
            assert detail.startswith("the queue is full: 20 of at most 20 sequences (TAGWERK_MAX_QUEUE_TOKENS)")
            assert int(response.headers["retry-after"]) >= 1
            assert response.headers["x-request-id"]
            assert metric(here.context, "rejected_total", reason="overloaded") == refused
            assert metric(here.context, "requests_total", route="/classify", status="429") == refused
        tokenized = metric(here.context, "tokenize_duration_seconds_count", model="classifier")
        assert tokenized == 1 + QUEUE, "those refused were not"


async def test_a_request_larger_than_the_room_that_is_left_is_refused_by_the_engine_and_counted_once():
    async with crowd() as here:
        await here.wait(QUEUE - 2)
        response = await here.client.post("/classify", json={"text": ["fine"] * 3})
        assert check(response, 429).detail.startswith("the queue is full: 18 of at most 20 sequences")
        assert int(response.headers["retry-after"]) >= 1
        assert metric(here.context, "rejected_total", reason="overloaded") == 1
        assert metric(here.context, "requests_total", route="/classify", status="429") == 1
        await here.wait(2)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_a_client_that_fills_its_share_of_the_queue_leaves_the_others_their_room(tmp_path):
    path = tmp_path / "keys.json"
    floods, other, narrow = (
        bearer(add_key(path, name, ["infer"], None, concurrent))
        for name, concurrent in (("floods", None), ("other", None), ("narrow", 1))
    )
    async with crowd(Authenticator(path, RateLimiter()), floods) as here:
        await here.wait(QUEUE // 2, floods)
        detail = check(await here.client.post("/classify", json=FINE, headers=floods), 429).detail
        assert "it has 10 of 10 waiting sequences" in detail
        await here.wait(QUEUE // 4, other)
        check(await here.client.post("/classify", json=FINE, headers=bearer("wrong")), 401)
        assert metric(here.context, "rejected_total", reason="overloaded") == 1, "the wrong key comes first"
        await here.wait(1, narrow)
        over = check(await here.client.post("/classify", json=FINE, headers=narrow), 429)
        assert over.type.endswith(":rate-limited")


@pytest.mark.parametrize(("refuse", "status"), [(full, 429), (away, 503)])
async def test_a_key_is_free_again_after_each_refusal(tmp_path, refuse, status):
    path = tmp_path / "keys.json"
    key = bearer(add_key(path, "narrow", ["infer"], None, 1))
    context = made_context(authenticator=Authenticator(path, RateLimiter()))
    app = create_app(context)
    transport = httpx.ASGITransport(app)
    async with lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        await until(context.ready)
        refuse(context)
        for _ in range(3):
            refused = check(await client.post("/classify", json=FINE, headers=key), status)
            assert not refused.type.endswith(":rate-limited")
        check(await client.post("/classify", json=FINE, headers=bearer("wrong")), 401)


@pytest.mark.parametrize("way", [lambda request: request, application], ids=["plain", "application"])
async def test_requests_in_progress_are_bounded_in_bytes(way):
    async with running(max_body_bytes=40_000) as service:
        context = service.context
        service.device.go.clear()
        large = way(post("/classify", json.dumps({"text": "fine " * 2000}).encode()))
        sent = [service.send(large) for _ in range(4)]
        await until(lambda: sum(bool(answers(wire)) for _, wire in sent) == 2)
        assert context.bytes_in_progress > 20_000
        refused, _ = [answer for _, wire in sent for answer in answers(wire)]
        assert refused.status == 429
        assert refused.header("retry-after") == "1"
        assert b"the requests in progress have more than 20000 bytes" in refused.body
        small = service.send(way(post("/classify")))
        service.device.go.set()
        await until(lambda: answers(small[1]) and all(answers(wire) for _, wire in sent))
        assert answers(small[1])[0].status == 200, "a small one is taken"
        await until(lambda: context.bytes_in_progress == 0)
        gone, _ = service.send(large)
        await turns(3)
        gone.connection_lost(None)
        await until(lambda: context.bytes_in_progress == 0)

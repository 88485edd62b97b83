"""The door: shut for a while once the queue is known to be full, and open for whom the engine would take."""

import asyncio

import httpx
import pytest

from service.api.app import create_app
from service.api.door import Door
from service.errors import Overloaded
from service.metrics import Metrics
from service.settings import Settings
from tests.api.scene import Court, lifespan, made_context
from tests.api.test_problems import check
from tests.engine.test_engines import until
from tests.fakes import Clock

FULL = Overloaded("the queue is full: 400 sequences, 1000 tokens", 0.5)


def made(clock: Clock) -> Door:
    return Door(Settings(max_queue_tokens=1000, max_queue_entries=400, max_items=400), Metrics(), clock)


def test_it_shuts_for_a_tenth_of_the_queues_time_and_says_what_the_engine_said():
    clock = Clock()
    door = made(clock)
    door.enter("/tag")
    door.no_room(FULL, 1, 20)
    for route in ("/tag", "/classify"):
        with pytest.raises(Overloaded, match="1000 tokens") as refusal:
            door.enter(route)
        assert refusal.value.retry_after_seconds == 0.5
    door.enter("/generate")
    clock.now += 0.049
    with pytest.raises(Overloaded):
        door.enter("/tag")
    clock.now += 0.002
    door.enter("/tag")


def test_it_shuts_for_no_longer_than_a_tenth_of_a_second():
    clock = Clock()
    door = made(clock)
    door.no_room(Overloaded("full", 60.0), 1, 20)
    clock.now += 0.11
    door.enter("/tag")


@pytest.mark.parametrize(("sequences", "tokens"), [(1, 51), (21, 21)])
def test_a_large_request_without_room_says_nothing_of_small_ones(sequences, tokens):
    door = made(Clock())
    door.no_room(FULL, sequences, tokens)
    door.enter("/tag")


def test_who_stands_before_the_door_is_answered_429_unread_and_counted():
    async def test():
        device = Court()
        context = made_context(device, max_queue_entries=20, max_items=20)
        context.door = Door(context.settings, context.metrics, Clock())  # which stays shut once it is
        app = create_app(context)
        metrics = context.metrics.registry.get_sample_value
        async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            await until(context.ready)
            device.go.clear()
            device.busy.clear()
            first = asyncio.create_task(client.post("/classify", json={"text": "fine"}))
            await until(device.busy.is_set)
            waiting = [asyncio.create_task(client.post("/classify", json={"text": "fine"})) for _ in range(20)]
            await until(lambda: metrics("tagwerk_tokenize_duration_seconds_count", {"model": "judge"}) == 21)
            for refused in range(1, 4):
                response = await client.post("/classify", json={"text": "fine"})
                check(response, 429)
                assert int(response.headers["retry-after"]) >= 1
                assert response.headers["x-request-id"]
                assert metrics("tagwerk_rejected_total", {"reason": "overloaded"}) == refused
                assert metrics("tagwerk_requests_total", {"route": "/classify", "status": "429"}) == refused
            tokenized = metrics("tagwerk_tokenize_duration_seconds_count", {"model": "judge"})
            assert tokenized == 22, "of those refused, the engine was asked for the first alone"
            device.go.set()
            assert {(await task).status_code for task in (first, *waiting)} == {200}

    asyncio.run(test())

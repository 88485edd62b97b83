"""The door: shut while the queue is known to be full, and open for whom the engine would take."""

import asyncio
from contextlib import ExitStack

import httpx
import pytest

from service.api.app import create_app
from service.api.door import DOUBLING_SECONDS, FORGET_SECONDS, HOLD_SECONDS, LEAST_ROOM, Asked, Door
from service.errors import Overloaded
from service.metrics import Metrics
from service.settings import Settings
from tests.api.scene import Court, lifespan, made_context
from tests.api.test_problems import check
from tests.engine.test_engines import until
from tests.fakes import Clock

FULL = Overloaded("the queue is full: 400 sequences, 1000 tokens", 0.5)


def made(clock: Clock, inside: int) -> Door:
    door = Door(Settings(max_queue_tokens=1000, max_queue_entries=400, max_items=400), Metrics(), clock)
    door.inside = inside
    return door


def refuse(door: Door, under_way: int, sequences: int = 1, tokens: int = 20, lessons: int = 0) -> None:
    door.no_room(FULL, sequences, tokens, Asked(under_way, lessons))


def test_it_lets_in_as_many_as_there_was_room_for_and_says_what_the_engine_said():
    door = made(Clock(), inside=101)
    assert not door.shut
    refuse(door, under_way=100)
    for route in ("/tag", "/classify"):
        with pytest.raises(Overloaded, match="1000 tokens") as refusal:
            door.check(route)
        assert refusal.value.retry_after_seconds == 0.5
    door.check("/generate")
    door.inside = 100
    assert door.shut, "for one more"
    door.check("/tag")
    door.inside = 99
    assert not door.shut


def test_the_room_grows_so_that_the_engine_is_asked_again():
    clock = Clock()
    door = made(clock, inside=101)
    refuse(door, under_way=100)
    with ExitStack() as asking:
        for _ in range(60):
            asking.enter_context(door.asking())
        door.inside = 100
        clock.now += HOLD_SECONDS
        assert door.shut
        clock.now += 0.01
        assert not door.shut
        door.inside = 110
        assert door.shut
        clock.now += DOUBLING_SECONDS / 5
        assert not door.shut
        door.inside = 100_000
        assert door.shut
        clock.now += FORGET_SECONDS
        assert not door.shut


def test_the_room_does_not_grow_for_those_whom_the_worker_has_no_time_for():
    clock = Clock()
    door = made(clock, inside=100)
    refuse(door, under_way=100)
    clock.now += FORGET_SECONDS - 1
    with ExitStack() as asking:
        for _ in range(49):
            asking.enter_context(door.asking())
        assert door.shut, "the engine has less to do than it had room for"
        asking.enter_context(door.asking())
        assert not door.shut
    assert door.shut
    clock.now += 1
    assert not door.shut, "those inside may never ask for anything"


def test_a_worker_finds_its_way_in_where_others_had_filled_the_queue():
    door = made(Clock(), inside=1)
    refuse(door, under_way=0)
    assert not door.shut
    door.inside = LEAST_ROOM
    assert door.shut


def test_of_many_that_the_engine_refuses_at_once_the_first_tells_for_how_many_there_was_room():
    door = made(Clock(), inside=700)
    with door.asking() as first, door.asking(), door.asking() as third:
        assert (first.under_way, third.under_way) == (0, 2)
    for under_way in range(340, 500):  # asked before the first of them was refused
        refuse(door, under_way)
    door.inside = 340
    assert door.shut
    refuse(door, under_way=350, lessons=1)  # the room had grown
    door.inside = 349
    assert not door.shut


@pytest.mark.parametrize(("sequences", "tokens"), [(1, 51), (21, 21)])
def test_a_large_request_without_room_says_nothing_of_small_ones(sequences, tokens):
    door = made(Clock(), inside=101)
    refuse(door, 100, sequences, tokens)
    door.inside = 10**9
    assert not door.shut


def test_who_came_in_though_there_is_no_room_is_refused_unread_and_counted():
    async def test():
        device = Court()
        context = made_context(device, max_queue_entries=20, max_items=20, max_queue_tokens=20)
        context.door = Door(context.settings, context.metrics, Clock())
        context.door.inside = 22
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

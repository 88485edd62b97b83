"""Load shedding: requests above the limit are refused, and the limit follows what the engine takes."""

import asyncio
import time
from contextlib import suppress

import httpx
import pytest

from service.engine.protocol import ANONYMOUS
from service.errors import Overloaded
from service.http.app import create_app
from service.http.load_shedding import LIMIT_STEP, LOWEST_LIMIT, MOST_LIMITS, LoadShedder, Snapshot
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import State
from tests.engine.test_engines import until
from tests.http.scene import SequenceModelDevice, lifespan, made_context
from tests.http.test_problems import check

MANY = 400  # wait in the engine when it is full


def made(admitted: int) -> LoadShedder:
    settings = Settings(max_queue_tokens=1000, max_queue_entries=400, max_items=400)
    shedder = LoadShedder(settings, Metrics(), lambda: State.READY)
    shedder.limit_of(ANONYMOUS).admitted = admitted
    return shedder


def refuse(
    shedder: LoadShedder, under_way: int, sequences: int = 1, tokens: int = 20, rejections: int = 0, waiting: int = MANY
) -> None:
    full = Overloaded("the queue is full: 400 sequences, 1000 tokens", 0.5, waiting)
    shedder.limit_of(ANONYMOUS).note_rejection(full, sequences, tokens, Snapshot(0.0, under_way, rejections))


def limit(shedder: LoadShedder) -> int:
    """Returns for how many there is room."""
    limit = shedder.limit_of(ANONYMOUS)
    admitted, limit.admitted = limit.admitted, 0
    while not limit.full:
        limit.admitted += 1
    found, limit.admitted = limit.admitted, admitted
    return found


def answer(shedder: LoadShedder, engine_share: float, times: int = 1) -> None:
    """Has the engine answer a request; of the time since it was asked, it had the request for that share."""
    for _ in range(times):
        shedder.limit_of(ANONYMOUS).note_answer(engine_share, Snapshot(time.monotonic() - 1.0, 0, 0))


def test_it_lets_in_as_many_as_there_was_room_for_and_says_what_the_engine_said():
    shedder = made(admitted=101)
    assert not shedder.limit_of(ANONYMOUS).full
    refuse(shedder, under_way=100)
    for route in ("/tag", "/classify"):
        with pytest.raises(Overloaded, match="1000 tokens") as refusal:
            shedder.check(route, ANONYMOUS)
        assert refusal.value.retry_after_seconds == 0.5
    shedder.check("/generate", ANONYMOUS)
    shedder.limit_of(ANONYMOUS).admitted = 100
    assert shedder.limit_of(ANONYMOUS).full, "for one more"
    shedder.check("/tag", ANONYMOUS)
    shedder.limit_of(ANONYMOUS).admitted = 99
    assert not shedder.limit_of(ANONYMOUS).full


def test_who_has_an_answer_on_its_way_has_no_room_in_the_queue():
    shedder = made(admitted=700)
    refuse(shedder, under_way=600, waiting=250)
    assert limit(shedder) == 250
    refuse(shedder, under_way=100, rejections=1, waiting=250)
    assert limit(shedder) == 100, "of those who wait, others sent the rest"


def test_the_room_grows_with_the_answers_so_that_the_engine_is_asked_again():
    shedder = made(admitted=100)
    refuse(shedder, under_way=100)
    answer(shedder, engine_share=0.6, times=100)
    assert limit(shedder) == pytest.approx(100 + 100 * LIMIT_STEP, abs=1)


def test_the_room_does_not_grow_for_those_whom_the_worker_has_no_time_for():
    shedder = made(admitted=100)
    refuse(shedder, under_way=100)
    answer(shedder, engine_share=0.4, times=100)
    assert limit(shedder) == 100
    shedder.limit_of(ANONYMOUS).admitted = 49
    answer(shedder, engine_share=0.4, times=100)
    assert limit(shedder) > 100, "nobody waits for the worker where there are so few"


def test_a_worker_finds_its_way_in_where_others_had_filled_the_queue():
    shedder = made(admitted=1)
    refuse(shedder, under_way=0)
    assert not shedder.limit_of(ANONYMOUS).full
    shedder.limit_of(ANONYMOUS).admitted = LOWEST_LIMIT
    assert shedder.limit_of(ANONYMOUS).full


def test_of_many_that_the_engine_refuses_at_once_the_first_tells_for_how_many_there_was_room():
    shedder = made(admitted=700)
    limit_ = shedder.limit_of(ANONYMOUS)
    with limit_.sending() as first, limit_.sending(), limit_.sending() as third:
        assert (first.under_way, third.under_way) == (0, 2)
    for under_way in range(340, 500):  # asked before the first of them was refused
        refuse(shedder, under_way)
    assert limit(shedder) == 340
    refuse(shedder, under_way=350, rejections=1)  # the room had grown
    assert limit(shedder) == 350


def test_a_refusal_says_to_come_again_after_what_the_last_rejection_said():
    shedder = made(admitted=500)
    for rejections, seconds in enumerate((0.5, 7.0)):
        shedder.limit_of(ANONYMOUS).note_rejection(
            Overloaded("full", seconds, MANY), 1, 20, Snapshot(0.0, 100, rejections)
        )
        refusal = shedder.refusal("/tag", ANONYMOUS)
        assert isinstance(refusal, Overloaded)
        assert refusal.retry_after_seconds == seconds
        with pytest.raises(Overloaded) as raised:
            shedder.check("/tag", ANONYMOUS)
        assert raised.value.retry_after_seconds == seconds


def test_a_request_is_under_way_until_its_answer_or_its_error():
    shedder = made(admitted=0)
    with suppress(KeyError), shedder.limit_of(ANONYMOUS).sending(), shedder.limit_of(ANONYMOUS).sending() as second:
        assert second.under_way == 1
        raise KeyError
    with shedder.limit_of(ANONYMOUS).sending() as next_one:
        assert next_one.under_way == 0


def test_a_full_queue_refuses_no_request_that_does_not_use_it():
    shedder = made(admitted=100)
    assert shedder.refusal("/tag", ANONYMOUS) is None, "while it has room"
    refuse(shedder, under_way=100)
    assert isinstance(shedder.refusal("/tag", ANONYMOUS), Overloaded)
    assert shedder.refusal("/generate", ANONYMOUS) is None
    assert shedder.active
    shedder.limit_of(ANONYMOUS).admitted = 99
    assert not shedder.active


@pytest.mark.parametrize("state", [state for state in State if state is not State.READY], ids=str)
def test_while_the_engine_is_not_ready_each_refusal_says_why(state):
    shedder = LoadShedder(Settings(), Metrics(), lambda: state)
    assert shedder.active
    for route in ("/tag", "/generate"):
        assert str(shedder.refusal(route, ANONYMOUS)) == f"the engine is {state}"


def test_while_models_of_a_task_are_loaded_its_requests_alone_are_refused():
    loading = {"tag", "generate"}
    shedder = LoadShedder(Settings(), Metrics(), lambda: State.READY, lambda: loading)
    assert shedder.active
    for route in ("/tag", "/generate", "/v1/completions"):
        assert str(shedder.refusal(route, ANONYMOUS)) == "the models for this are still being loaded"
    assert shedder.refusal("/classify", ANONYMOUS) is None
    loading.clear()
    assert not shedder.active


def test_of_each_wave_of_rejections_the_first_alone_sets_the_limit():
    shedder = made(admitted=700)
    for rejections, room in enumerate((340, 300, 260)):
        refuse(shedder, room, rejections=rejections)
        refuse(shedder, 400, rejections=rejections)
        assert limit(shedder) == room


def test_a_request_of_just_the_small_share_of_the_queue_shows_that_it_is_full():
    shedder = made(admitted=101)
    refuse(shedder, 100, sequences=20, tokens=50)
    assert limit(shedder) == 100


def test_a_worker_with_half_of_its_limit_admitted_counts_as_busy():
    shedder = made(admitted=50)
    refuse(shedder, under_way=100)
    answer(shedder, engine_share=0.4)
    assert limit(shedder) == 100
    shedder.limit_of(ANONYMOUS).admitted = 49
    answer(shedder, engine_share=0.4)
    assert limit(shedder) == 101


def test_a_request_that_is_answered_leaves_the_others_under_way():
    shedder = made(admitted=0)
    with shedder.limit_of(ANONYMOUS).sending():
        with shedder.limit_of(ANONYMOUS).sending():
            pass
        with shedder.limit_of(ANONYMOUS).sending() as next_one:
            assert next_one.under_way == 1


def test_a_snapshot_says_when_a_request_was_sent_and_what_was_known_then(monkeypatch):
    shedder = made(admitted=101)
    refuse(shedder, under_way=100)
    monkeypatch.setattr(time, "monotonic", lambda: 77.0)
    with shedder.limit_of(ANONYMOUS).sending() as first, shedder.limit_of(ANONYMOUS).sending() as second:
        assert (first, second) == (Snapshot(77.0, 0, 1), Snapshot(77.0, 1, 1))


@pytest.mark.parametrize(("sequences", "tokens"), [(1, 51), (21, 21)])
def test_a_large_request_without_room_says_nothing_of_small_ones(sequences, tokens):
    shedder = made(admitted=101)
    refuse(shedder, 100, sequences, tokens)
    shedder.limit_of(ANONYMOUS).admitted = 10**9
    assert not shedder.limit_of(ANONYMOUS).full


def test_who_came_in_though_there_is_no_room_is_refused_unread_and_counted():
    async def test():
        device = SequenceModelDevice()
        context = made_context(device, max_queue_entries=20, max_items=20, max_queue_tokens=20)
        context.shedder = LoadShedder(context.settings, context.metrics, context.engine.state)
        context.shedder.limit_of(ANONYMOUS).admitted = 22
        app = create_app(context)

        def metrics(name: str, labels: dict[str, str]) -> float | None:
            context.metrics.flush()
            return context.metrics.registry.get_sample_value(name, labels)

        async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            await until(context.ready)
            device.go.clear()
            device.busy.clear()
            first = asyncio.create_task(client.post("/classify", json={"text": "fine"}))
            await until(device.busy.is_set)
            waiting = [asyncio.create_task(client.post("/classify", json={"text": "fine"})) for _ in range(20)]
            await until(lambda: metrics("tagwerk_tokenize_duration_seconds_count", {"model": "classifier"}) == 21)
            for refused in range(1, 4):
                response = await client.post("/classify", json={"text": "fine"})
                detail = check(response, 429).detail
                assert detail.startswith("the queue is full: 20 of at most 20 sequences (TAGWERK_MAX_QUEUE_ENTRIES)")
                assert detail.endswith("until capacity is free") == (refused > 1)
                assert int(response.headers["retry-after"]) >= 1
                assert response.headers["x-request-id"]
                assert metrics("tagwerk_rejected_total", {"reason": "overloaded"}) == refused
                assert metrics("tagwerk_requests_total", {"route": "/classify", "status": "429"}) == refused
            tokenized = metrics("tagwerk_tokenize_duration_seconds_count", {"model": "classifier"})
            assert tokenized == 22, "of those refused, the engine was asked for the first alone"
            device.go.set()
            assert {(await task).status_code for task in (first, *waiting)} == {200}

    asyncio.run(test())


def test_a_client_that_is_refused_leaves_the_others_their_room():
    shedder = made(admitted=0)
    flooding, other = shedder.limit_of(1), shedder.limit_of(2)
    flooding.admitted = 101
    flooding.note_rejection(Overloaded("its share is full", 0.5, MANY), 1, 20, Snapshot(0.0, 100, 0))
    assert isinstance(shedder.refusal("/tag", 1), Overloaded)
    with pytest.raises(Overloaded):
        shedder.check("/tag", 1)
    assert shedder.refusal("/tag", 2) is None
    other.admitted = 1000
    shedder.check("/tag", 2)


def test_of_many_clients_the_limits_of_idle_ones_are_forgotten():
    shedder = made(admitted=0)
    busy = shedder.limit_of(1)
    busy.admitted = 1
    for client in range(2, 1000):
        shedder.limit_of(client)
    assert shedder.limit_of(1) is busy
    assert len(shedder._limits) <= MOST_LIMITS

"""Of requests that are not short, few are worked on at the same time; the others wait, and nothing is made of them."""

import asyncio
import json
import time
from functools import partial
from typing import Any, cast
from unittest.mock import Mock

import pytest

from service.errors import DeadlineExceeded
from service.http.client_memory import ClientMemory
from service.pipelines import run as run_module
from service.pipelines.run import MEDIUM_BYTES, SMALL_BYTES, PipelineRun
from service.pipelines.tagging import CANDIDATES_BYTES, TOKEN_BYTES
from service.pipelines.work_limit import Place, WorkLimit
from service.settings import Settings
from service.telemetry.request import Timing
from tests.http.running import running
from tests.http.scene import made_context
from tests.http.test_client_memory import Client
from tests.http.wire import application, post
from tests.waiting import until

TEXT = ("a. " * 5000)[:15_000]
REQUEST = post("/tag", json.dumps({"text": TEXT}).encode())
WORDS = 9000


def entered(*requests: tuple[int, int]) -> tuple[WorkLimit, list[Place], list[int]]:
    """Enters requests, of clients and sizes, to a limit of 100; returns it, their places, and those that are begun."""
    limit, begun = WorkLimit(100), list[int]()
    places = [limit.enter(*request, partial(begun.append, number)) for number, request in enumerate(requests)]
    return limit, places, begun


@pytest.mark.parametrize(
    ("requests", "order"),
    [
        ([(0, 60), (0, 40), (0, 1), (0, 99)], [0, 1, 2, 3]),  # in order, as many as fit
        ([(0, 500), (0, 1), (0, 500)], [0, 1, 2]),  # one of any size alone
        ([(1, 100), (1, 100), (1, 100), (2, 100), (3, 100)], [0, 1, 3, 4, 2]),  # clients take turns
        ([(1, 50), (1, 50), (1, 50), (2, 50), (2, 50)], [0, 1, 3, 2, 4]),  # the client with the fewest is next
    ],
)
def test_requests_begin_in_turns_within_the_limit(requests, order):
    limit, places, begun = entered(*requests)
    for ended in range(len(requests)):
        in_progress = [requests[number][1] for number in begun[ended:]]
        assert sum(in_progress) <= 100 or len(in_progress) == 1
        if waiting := order[len(begun) :]:
            assert sum(in_progress) + requests[waiting[0]][1] > 100, "the next one fits"
        limit.leave(places[begun[ended]])
    assert begun == order
    assert limit.enter(0, 1000, lambda: None).begun, "all that was in progress is given up"


def test_a_request_that_waits_no_longer_takes_no_room():
    limit, places, begun = entered((0, 100), (0, 100), (0, 100))
    limit.leave(places[1])
    limit.leave(places[0])
    assert begun == [0, 2]


async def test_of_many_texts_few_are_split_at_the_same_time_and_all_are_answered():
    async with running(request_timeout_seconds=1000.0, max_queue_tokens=6_400_000) as service:
        wires = [service.send(REQUEST)[1] for _ in range(10)]
        gone, _ = service.send(REQUEST)
        service.context.plain.run()
        limit = service.context.medium_work
        assert 0 < limit.in_progress <= run_module.MEDIUM_CHARACTERS
        gone.connection_lost(None)
        most, left = 0, wires
        while left := [wire for wire in left if not wire.answers()]:
            most = max(most, len(service.context.plain._works))
            await asyncio.sleep(0)
        assert most <= run_module.MEDIUM_CHARACTERS // len(TEXT) + 1
        assert {wire.answers()[0].status for wire in wires} == {200}
        assert (limit.in_progress, limit._waiting) == (0, {})


async def test_a_text_whose_deadline_passes_while_it_waits_is_answered_so_on_both_ways():
    async with running() as service:
        limits = service.context.medium_work, service.context.large_work
        others = [limit.enter(0, 10**9, lambda: None) for limit in limits]
        request = post("/tag", json.dumps({"text": TEXT}).encode(), "X-Request-Timeout-Ms: 1")
        _, wire = service.send(request)
        await until(lambda: bool(wire.answers()))
        for answer in (wire.answers()[0], await service.answer(application(request))):
            assert answer.status == 504, answer.body
            assert json.loads(answer.body)["detail"].startswith(run_module.WAITED)
            assert "queue" in (answer.header("server-timing") or "")
        for limit, place in zip(limits, others, strict=True):
            limit.leave(place)
            assert (limit.in_progress, limit._waiting) == (0, {})


async def test_short_texts_wait_for_none_and_medium_ones_for_no_large_ones():
    context = made_context()
    held: list[int] = []
    large, *short, waits = [
        PipelineRun(context, Timing(0.0), time.monotonic() + seconds, hold=held.append) for seconds in (60, 60, 60, 0)
    ]
    await large.begin(context.settings.max_text_characters)
    for run, size in zip(short, (SMALL_BYTES, MEDIUM_BYTES), strict=True):
        await run.begin(size)
    with pytest.raises(DeadlineExceeded):
        await waits.begin(MEDIUM_BYTES + 1)
    assert not context.large_work._waiting
    large.reserve(1000)
    large.release(300)
    for run in (large, *short, waits):
        run.end()
    assert held == [1000, -300, -700]
    assert (context.large_work.in_progress, context.medium_work.in_progress) == (0, 0)


@pytest.mark.parametrize(
    ("path", "body", "least"),
    [
        ("/tag", {"tokens": [["a"] * WORDS]}, WORDS * TOKEN_BYTES),
        ("/tag", {"tokens": [["a"] * WORDS], "n_best": 5}, WORDS * (TOKEN_BYTES + CANDIDATES_BYTES)),
        ("/generate", {"prompt": "a", "max_tokens": 20, "logprobs": 2, "n": 3}, 3 * 20 * 50),
    ],
)
async def test_what_an_answer_may_have_counts_as_held_while_it_is_made(path, body, least):
    async with running(request_timeout_seconds=1000.0) as service:
        grow = Mock(wraps=service.context.client_memory.grow)
        service.context.client_memory.grow = grow  # type: ignore[method-assign]
        answer = await service.answer(application(post(path, json.dumps(body).encode())))
        assert answer.status == 200, answer.body
        assert sum(size for (size,), _ in grow.call_args_list) >= max(least, 0.9 * len(answer.body))
        await until(lambda: not service.context.large_work.in_progress)  # once the task that has answered ends


async def test_a_large_answer_is_computed_once_others_are_read_or_have_had_a_while_for_it(monkeypatch):
    """Otherwise what it is computed from would be there beside an answer of the largest size that nobody reads."""
    monkeypatch.setattr(run_module, "ROOM_CHECK_SECONDS", 0.0)
    context = made_context()
    most = context.client_memory.most
    unread = Client(most)
    context.client_memory.clients[cast(Any, unread)] = None
    held: list[int] = []
    run = PipelineRun(context, Timing(0.0), time.monotonic() + 60, hold=held.append)
    await run.make_room(run_module.LARGE_ANSWER_BYTES)
    assert held == [run_module.LARGE_ANSWER_BYTES], "a small one waits for none"
    run.end()
    held.clear()
    waiting = asyncio.create_task(run.make_room(most // 2))
    for unread.held in (most, most * 3 // 4, most // 2 + 1):
        await asyncio.sleep(0.01)
        assert not held
    unread.held = most // 2
    await waiting
    assert held == [most // 2]
    monkeypatch.setattr(run_module, "ROOM_SECONDS", 0.0)
    await run.make_room(most)
    assert held == [most // 2, most]
    assert not unread.dropped, "that is for the memory of clients to decide, which is told"


def test_the_largest_answer_fits_beside_its_body():
    settings = Settings()
    answer = settings.max_text_characters * (TOKEN_BYTES + CANDIDATES_BYTES)
    assert ClientMemory(settings.max_body_bytes).most > answer + settings.max_body_bytes


async def test_what_the_windows_of_a_long_sentence_have_in_common_counts_once(monkeypatch):
    reserved: list[int] = []
    monkeypatch.setattr(PipelineRun, "reserve", lambda run, size: reserved.append(size))
    body = json.dumps({"text": "a," * 5000, "n_best": 5}).encode()
    async with running(request_timeout_seconds=1000.0) as service:
        answer = await service.answer(application(post("/tag", body)))
    assert answer.body.count(b'"n_best"') == 10_000
    assert reserved == [10_000 * (TOKEN_BYTES + CANDIDATES_BYTES)]

"""Large requests in chunks: bounded messages, one answer, and nobody waits behind all of it."""

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.engine import Engine
from service.engine.requests import Outcome, Requests
from service.errors import DeadlineExceeded, Overloaded
from service.pipelines import run as runs
from service.pipelines.run import CHUNKS_AT_ONCE, chunk_sizes, infer_in_chunks
from tests.engine.running import TAGGER, hold, request, rows_of, running_engine
from tests.fakes import Device
from tests.waiting import iterations

MANY = [[1]] * 99


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(runs, "CHUNK_SEQUENCES", 3)
    monkeypatch.setattr(runs, "CHUNK_TOKENS", 10)


class Recorder(Engine):
    """An engine that notes the chunks. `failures` has the errors of some, by their numbers."""

    def __init__(self, failures: Mapping[int, Exception] = {}) -> None:
        self.asked: list[Requests] = []
        self.under_way = self.most = 0
        self.failures = failures

    async def infer(self, chunk: Requests) -> Outcome:
        number = len(self.asked)
        self.asked.append(chunk)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(0)
            if number in self.failures:
                raise self.failures[number]
        finally:
            self.under_way -= 1
        return Outcome(dict(chunk.sequences.values), 0.25, 0.5, len(chunk.sequences))


@given(st.lists(st.integers(1, 15), min_size=1))
def test_chunks_are_bounded_and_keep_the_order(lengths):
    counts = chunk_sizes(lengths)
    assert sum(counts) == len(lengths)
    assert all(0 < count <= 3 for count in counts)
    start = 0
    for count in counts:
        chunk, start = lengths[start : start + count], start + count
        assert len(chunk) == 1 or sum(chunk) <= 10


async def test_a_large_request_goes_in_chunks_a_few_at_a_time_and_is_admitted_once():
    recorder, wanted = Recorder(), [[i, i] for i in range(20)]
    outcome = await infer_in_chunks(recorder, request(*wanted, extra_outputs=frozenset({"twice"})))
    assert rows_of(request(*wanted), outcome) == wanted
    assert recorder.most == CHUNKS_AT_ONCE
    assert [chunk.begun for chunk in recorder.asked] == [False] + [True] * 6
    assert {chunk.extra_outputs for chunk in recorder.asked} == {frozenset({"twice"})}
    assert outcome.batch_size == 3
    assert outcome.queue_seconds == 0.25


@pytest.mark.parametrize(("number", "asked"), [(0, 1), (1, 4)])
async def test_the_first_error_ends_all_chunks(number, asked):
    failure = Overloaded("full", 2.5)
    recorder = Recorder({number: failure})
    with pytest.raises(Overloaded) as refusal:
        await infer_in_chunks(recorder, request(*MANY))
    assert refusal.value is failure
    assert len(recorder.asked) <= asked
    assert recorder.under_way == 0


async def test_a_deadline_that_passes_between_chunks_says_where_the_time_of_all_went():
    recorder = Recorder({5: DeadlineExceeded("late", {"queue": 9.0, "inference": 9.0})})
    with pytest.raises(DeadlineExceeded) as late:
        await infer_in_chunks(recorder, request(*MANY))
    assert late.value.stages["queue"] == 0.25


async def test_a_client_that_goes_takes_all_chunks_with_it():
    recorder = Recorder()
    task = asyncio.create_task(infer_in_chunks(recorder, request(*MANY)))
    await iterations()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert recorder.under_way == 0
    assert len(recorder.asked) < 33


async def test_an_engine_answers_in_order_and_others_come_in_between():
    device = Device()
    async with running_engine(device) as made:
        held = await hold(device, made)
        wanted = [[i, i] for i in range(20)]
        large = asyncio.create_task(infer_in_chunks(made, request(*wanted)))
        await iterations()
        neighbour = asyncio.create_task(made.infer(request([7], model=TAGGER)))
        await iterations()
        device.go.set()
        assert int((await neighbour).outputs["sum"][0]) == 7
        assert not large.done(), "the neighbour waited for all of it"
        assert rows_of(request(*wanted), await large) == wanted
        await held

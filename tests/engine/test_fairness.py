"""Clients share the device and the room to wait, whatever each of them asks for."""

import asyncio
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.padding import Grid
from service.engine.plan import StepTimes
from service.engine.protocol import ANONYMOUS, Generation, Inference, Requests
from service.engine.queue import EngineRequest
from service.engine.scheduler import Scheduler
from service.engine.slots import Slots, Stream
from service.errors import Overloaded, TagwerkError
from service.types import ModelKey, Ragged
from tests.engine.test_engines import engine, hold, prompt, request, run
from tests.fakes import Clock, Device

assert engine  # the fixture: each kind of engine

MODEL = ModelKey("tagger", "1")
FLOODS, OTHER = 1, 2
GRID = Grid((1, 2, 4), (4, 8, 16))


class Waiting:
    """A scheduler, and what was asked of it."""

    def __init__(self, max_sequences: int = 10_000, max_tokens: int = 10**6, row_milliseconds: float = 0.0) -> None:
        self.clock = Clock()
        self.scheduler = Scheduler(self.clock, max_sequences, max_tokens)
        times = StepTimes()
        for rows in GRID.batch_sizes:
            times.fit(
                rows, {length: 1e-3 * (1 + (row_milliseconds + 0.001 * length) * rows) for length in GRID.lengths}
            )
        self.scheduler.add_model(MODEL, GRID, times)

    def admit(self, client: int, *lengths: int, begun: bool = False, deadline: float = 1e9) -> EngineRequest:
        """Queues a request a moment after the last one. Raises its rejection."""
        self.clock.now += 0.001
        sequences = Ragged.of([{"ids": np.zeros(n, np.int32)} for n in lengths])
        request = Inference(MODEL, sequences, deadline, begun=begun, client=client)
        (admitted,) = self.scheduler.admit(Requests.of(request))
        if isinstance(admitted, TagwerkError):
            raise admitted
        return admitted

    def fill(self, client: int, length: int) -> int:
        """Queues requests until one is rejected; returns how many were not."""
        for count in range(10**6):
            try:
                self.admit(client, length)
            except Overloaded as full:
                self.rejection = full
                return count
        raise AssertionError("there is room for any number")

    def take(self) -> list[tuple[int, int]]:
        """Takes a batch; returns client and length of each of its sequences."""
        batch = self.scheduler.take()
        return [(sequence.request.client, sequence.length) for sequence in batch.sequences] if batch is not None else []


def flooded(row_milliseconds: float) -> Waiting:
    """Returns a scheduler with a backlog of sequences of each length, of which a batch has been taken."""
    waiting = Waiting(row_milliseconds=row_milliseconds)
    for length in (15, 7, 3):
        for _ in range(300):
            waiting.admit(FLOODS, length)
    waiting.take()
    return waiting


@pytest.mark.parametrize("length", [3, 15])
def test_who_asks_beside_a_flood_is_in_the_first_or_second_batch(length):
    waiting = Waiting()
    for _ in range(1000):
        waiting.admit(FLOODS, 3)
    waiting.take()
    waiting.admit(OTHER, length)
    assert (OTHER, length) in waiting.take() + waiting.take()


def test_who_asks_beside_a_flood_does_not_wait_for_a_full_batch_of_it():
    waiting = Waiting(row_milliseconds=1.0)
    for _ in range(1000):
        waiting.admit(FLOODS, 3)
    assert len(waiting.take()) == 4
    waiting.admit(OTHER, 3)
    assert waiting.take() == [(OTHER, 3)]
    assert len(waiting.take()) == 4


def test_a_row_that_is_left_over_beside_a_flood_is_filled_from_it():
    waiting = flooded(row_milliseconds=0.2)
    for _ in range(3):  # four rows have room for them
        waiting.admit(OTHER, 7)
    assert waiting.take() == [*[(OTHER, 7)] * 3, (FLOODS, 7)]


def test_what_a_client_asks_of_several_lengths_beside_a_flood_runs_together():
    waiting = flooded(row_milliseconds=0.01)
    for length in (15, 7, 3):
        waiting.admit(OTHER, length)
    assert sorted(waiting.take(), reverse=True)[:3] == [(OTHER, 15), (OTHER, 7), (OTHER, 3)]


def test_clients_without_a_backlog_share_a_batch_beside_a_flood():
    waiting = Waiting(row_milliseconds=1.0)
    for _ in range(1000):
        waiting.admit(FLOODS, 3)
    waiting.take()
    for client in (OTHER, 3):
        waiting.admit(client, 3)
    assert waiting.take() == [(OTHER, 3), (3, 3)]


def test_a_batch_that_costs_no_more_is_full_beside_a_flood():
    waiting = Waiting()
    for _ in range(1000):
        waiting.admit(FLOODS, 3)
    waiting.take()
    waiting.admit(OTHER, 3)
    assert len(waiting.take()) == 4


def test_two_backlogs_have_full_batches():
    waiting = Waiting(row_milliseconds=1.0)
    for client in (FLOODS, OTHER):
        for _ in range(12):
            waiting.admit(client, 3)
    assert [len(waiting.take()) for _ in range(5)] == [4] * 5


def test_without_keys_all_are_one_client_and_the_first_come_first():
    waiting = Waiting()
    for _ in range(8):
        waiting.admit(ANONYMOUS, 3)
    waiting.admit(ANONYMOUS, 4)
    assert [length for _ in range(2) for _, length in waiting.take()] == [3] * 8
    assert waiting.take() == [(ANONYMOUS, 4)]


@given(st.lists(st.integers(1, 16), min_size=20, max_size=60), st.lists(st.integers(1, 16), min_size=20, max_size=60))
def test_of_two_backlogs_each_gets_half_of_the_tokens(some, others):
    waiting = Waiting()
    for length in some:
        waiting.admit(FLOODS, length)
    for length in others:
        waiting.admit(OTHER, length)
    served = Counter[int]()
    left = {FLOODS: len(some), OTHER: len(others)}
    while all(left.values()):
        for client, length in waiting.take():
            served[client] += length
            left[client] -= 1
        if all(left.values()):
            rows = GRID.batch_sizes[-1]
            assert abs(served[FLOODS] - served[OTHER]) <= 2 * rows * GRID.lengths[-1], "two batches at most"


def test_one_who_was_idle_has_saved_up_nothing():
    waiting = Waiting()
    waiting.admit(OTHER, 16)
    waiting.take()
    for _ in range(100):
        waiting.admit(FLOODS, 4)
    for _ in range(20):
        waiting.take()
    for _ in range(40):
        waiting.admit(OTHER, 4)
    taken = Counter(client for _ in range(10) for client, _ in waiting.take())
    assert abs(taken[FLOODS] - taken[OTHER]) <= GRID.batch_sizes[-1], "one batch at most"


def test_within_a_client_a_short_request_passes_the_rest_of_a_long_one():
    waiting = Waiting()
    waiting.admit(FLOODS, *[4] * 200)
    waiting.admit(FLOODS, 3)
    assert (FLOODS, 3) in waiting.take() + waiting.take()


def test_a_key_alone_fills_half_of_the_queue_and_further_ones_always_find_room():
    waiting = Waiting(max_sequences=1000)
    assert waiting.fill(FLOODS, 4) == 500
    assert "share of the queue is full: it has 500 of 500 waiting sequences" in str(waiting.rejection)
    assert waiting.rejection.waiting == 500, "of its own, for the load shedder"
    counts = [waiting.fill(client, 4) for client in range(OTHER, 8)]
    assert counts == [250, 125, 63, 31, 16, 8]


def test_the_tokens_of_a_key_are_limited_as_its_sequences_are():
    waiting = Waiting(max_tokens=1000)
    assert waiting.fill(FLOODS, 10) == 50
    assert waiting.fill(OTHER, 10) == 25


def test_who_has_nothing_waiting_may_take_all_the_room_there_is():
    waiting = Waiting(max_sequences=1000)
    waiting.fill(FLOODS, 4)
    waiting.admit(OTHER, *[4] * 500)
    with pytest.raises(Overloaded, match="the queue is full"):
        waiting.admit(3, 4)


def test_a_request_that_has_begun_needs_no_room_of_its_client():
    waiting = Waiting(max_sequences=1000)
    waiting.fill(FLOODS, 4)
    waiting.admit(FLOODS, *[4] * 200, begun=True)


def test_without_a_key_the_whole_queue_can_be_filled():
    assert Waiting(max_sequences=1000).fill(ANONYMOUS, 4) == 1000


def test_what_is_abandoned_or_expires_leaves_no_client_behind():
    waiting = Waiting()
    request = waiting.admit(FLOODS, 4, 4)
    waiting.admit(OTHER, 4, deadline=0.5)
    waiting.scheduler.abandon(request)
    waiting.clock.now = 1.0
    assert waiting.take() == []
    assert waiting.scheduler._queue._clients == {}
    assert waiting.scheduler._queue._lanes == {}


def text(client: int, max_tokens: int = 9) -> Stream:
    return Stream(Generation(ModelKey("lm", "1"), np.ones(1, np.int32), max_tokens, 1, 0, 1, 1, 1e9, client=client), 0)


def test_a_free_slot_goes_to_who_has_the_fewest():
    slots = Slots(4, prefill=4, max_waiting=99)
    for _ in range(10):
        slots.admit(text(FLOODS))
    slots.assemble(0.0)
    for _ in range(2):
        slots.admit(text(OTHER))
    running = [stream for step in slots.assemble(0.0) for stream in step.streams]
    assert [stream.request.client for stream in running] == [FLOODS] * 4, "those that write go on"
    for stream in running[:3]:
        slots.cancel(stream)
    running = [stream for step in slots.assemble(0.0) for stream in step.streams]
    assert Counter(stream.request.client for stream in running) == {FLOODS: 2, OTHER: 2}


def test_texts_that_wait_are_shared_as_sequences_are():
    slots = Slots(1, prefill=4, max_waiting=100)
    for client, room in ((FLOODS, 50), (OTHER, 25), (3, 13)):
        for _ in range(room):
            slots.admit(text(client))
        with pytest.raises(Overloaded, match=f"the client's share is full: {room} of"):
            slots.admit(text(client))


def test_an_engine_knows_the_client_of_each_request_wherever_it_runs(engine):
    async def test():
        device, order = Device(), []
        async with engine(device) as made:
            held = await hold(device, made)

            async def infer(client: int) -> None:
                await made.infer(replace(request([1, 2, 3]), client=client))
                order.append(client)

            asked = [asyncio.create_task(infer(client)) for client in [FLOODS] * 4 + [OTHER] * 2]
            await asyncio.sleep(0.05)
            with pytest.raises(Overloaded, match="share of the queue is full"):
                await made.infer(replace(request([1], [2]), client=FLOODS))
            device.go.set()
            await asyncio.gather(held, *asked)
        assert set(order[:4]) == {FLOODS, OTHER}, "half of the first batch is the other's"

    run(test())


def test_an_engine_knows_the_client_of_each_text_wherever_it_runs(engine):
    async def test():
        device, order = Device(), []
        async with engine(device) as made:
            held = await hold(device, made)

            async def generate(client: int) -> None:
                async for _ in made.generate(replace(prompt(1), client=client)):
                    pass
                order.append(client)

            asked = [asyncio.create_task(generate(client)) for client in [FLOODS] * 4 + [OTHER]]
            await asyncio.sleep(0.05)
            device.go.set()
            await asyncio.gather(held, *asked)
        assert OTHER in order[:3], "it has one of the two slots first"

    run(test())

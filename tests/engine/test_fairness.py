"""Clients share the device and the queue, whatever each of them sends."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.queue import EngineRequest
from service.engine.requests import ANONYMOUS, Generation, Requests
from service.engine.scheduler import Scheduler
from service.engine.slots import Slots, Stream
from service.errors import Overloaded, TagwerkError
from service.types import ModelKey, Ragged
from tests.engine.running import SAMPLING
from tests.engine.test_scheduler import GRID, PLANNED, ignore, step_times
from tests.fakes import Clock

MODEL = ModelKey("tagger", "1")
FLOODS, OTHER = 1, 2


class Waiting:
    """A scheduler, and what has been admitted to it.

    Its steps take `fixed` seconds, and `cell` seconds more for each cell.
    """

    def __init__(
        self, max_sequences: int = 10_000, max_tokens: int = 10**6, fixed: float = 1e-3, cell: float = 1e-6
    ) -> None:
        self.clock = Clock()
        self.scheduler = Scheduler(self.clock, max_sequences, max_tokens)
        self.scheduler.add_model(MODEL, GRID, step_times(fixed, cell))

    def admit(self, client: int, *lengths: int, begun: bool = False) -> EngineRequest:
        """Queues a request a moment after the last one. Raises its rejection."""
        self.clock.now += 0.001
        sequences = Ragged.of([{"ids": np.zeros(n, np.int32)} for n in lengths])
        request = Requests(MODEL, sequences, [len(lengths)], [1e9], [client], begun=begun)
        (admitted,) = self.scheduler.admit(request, ignore)
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
        raise AssertionError("the queue takes any number")

    def take(self) -> list[tuple[int, int]]:
        """Takes a batch; returns client and length of each of its sequences."""
        batch = self.scheduler.take()
        return [(sequence.request.client, sequence.length) for sequence in batch.sequences] if batch is not None else []

    @property
    def planned(self) -> int:
        """Number of batches that are planned."""
        return len(self.scheduler._models[MODEL].planned)


def flooded(fixed: float = 1e-3, cell: float = 1e-6) -> Waiting:
    """Returns a scheduler with a backlog of sequences of each length, of which a batch has been taken."""
    waiting = Waiting(fixed=fixed, cell=cell)
    for _ in range(100):
        for length in (15, 7, 3):
            waiting.admit(FLOODS, length)
    waiting.take()
    return waiting


@given(
    st.integers(1, 16),
    st.lists(st.integers(1, 16), min_size=30, max_size=60),
    st.integers(1, 4),
    st.floats(0.0, 0.01),
    st.floats(1e-6, 1e-3),
)
def test_a_sequence_beside_a_flooding_key_waits_for_what_is_planned_and_no_more(length, backlog, taken, fixed, cell):
    waiting = Waiting(fixed=fixed, cell=cell)
    for other in backlog:
        waiting.admit(FLOODS, other)
    for _ in range(taken):
        waiting.take()
    waiting.admit(OTHER, length)
    for _ in range(waiting.planned):
        assert {client for client, _ in waiting.take()} == {FLOODS}
    assert (OTHER, length) in waiting.take()


def test_the_rows_beside_those_of_a_light_key_are_filled_from_the_backlog_of_another():
    waiting = flooded()
    for _ in range(3):  # four rows cost little more than three
        waiting.admit(OTHER, 7)
    for _ in range(waiting.planned):
        waiting.take()
    assert Counter(client for client, _ in waiting.take()) == {OTHER: 3, FLOODS: 1}


def test_without_keys_all_are_one_client_and_the_first_come_first():
    waiting = Waiting()
    for _ in range(8):
        waiting.admit(ANONYMOUS, 3)
    waiting.admit(ANONYMOUS, 4)
    assert [length for _ in range(2) for _, length in waiting.take()] == [3] * 8
    assert waiting.take() == [(ANONYMOUS, 4)]


backlogs = st.lists(st.integers(1, 16), min_size=20, max_size=60)


@given(backlogs, backlogs, st.floats(0.0, 0.01), st.floats(1e-6, 1e-3))
def test_of_two_backlogs_each_gets_half_of_the_tokens(some, others, fixed, cell):
    waiting = Waiting(fixed=fixed, cell=cell)
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
            rows, longest = GRID.batch_sizes[-1], GRID.lengths[-1]
            assert abs(served[FLOODS] - served[OTHER]) <= (rows + 1) * longest, "a batch and a sequence at most"


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 16)), max_size=60), st.lists(st.booleans(), max_size=60))
def test_no_sequence_starves_while_other_keys_keep_sending(arrivals, takes):
    waiting = Waiting()
    waiting.admit(OTHER, *[16] * 3)
    for _ in range(10):
        waiting.admit(FLOODS, 16)
    ran: list[tuple[int, int]] = []
    for (client, length), take in zip(arrivals, takes, strict=False):
        waiting.admit(10 + client, length)
        if take:
            ran += waiting.take()
    for _ in range(200):
        waiting.admit(10, 16)
        ran += waiting.take()
    assert ran.count((OTHER, 16)) == 3
    assert ran.count((FLOODS, 16)) == 10


def test_a_key_has_no_credit_after_a_pause():
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
    assert abs(taken[FLOODS] - taken[OTHER]) <= PLANNED, "a plan at most"


def test_a_key_whose_sequences_are_all_planned_goes_on_where_it_was():
    waiting = Waiting()
    waiting.admit(FLOODS, *[16] * 8)
    waiting.take()
    waiting.admit(OTHER, *[16] * 20)
    waiting.admit(FLOODS, 16, 16)
    waiting.take()
    assert [waiting.take() for _ in range(2)] == [[(OTHER, 16)] * 4] * 2, "as many as the other key had in its plan"


def test_a_key_alone_fills_half_of_the_queue_and_further_ones_always_find_room():
    waiting = Waiting(max_sequences=1000)
    assert waiting.fill(FLOODS, 4) == 500
    assert "share of the queue is full: it has 500 of 500 waiting sequences" in str(waiting.rejection)
    counts = [waiting.fill(client, 4) for client in range(OTHER, 8)]
    assert counts == [250, 125, 63, 31, 16, 8]


def test_a_key_with_nothing_waiting_may_fill_the_rest_of_the_queue():
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


def test_what_is_abandoned_leaves_no_client_behind():
    waiting = Waiting()
    waiting.scheduler.queue.discard(waiting.admit(FLOODS, 4, 4))
    assert waiting.take() == []
    assert waiting.scheduler.queue.clients == {}


def text(client: int, max_tokens: int = 9) -> Stream:
    return Stream(Generation(ModelKey("lm", "1"), np.ones(1, np.int32), max_tokens, SAMPLING, 1e9, client=client), 0)


def test_a_free_slot_goes_to_the_client_with_the_fewest():
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


def test_the_tokens_of_a_key_are_limited_as_its_sequences_are():
    waiting = Waiting(max_tokens=990)
    assert waiting.fill(FLOODS, 10) == 50, "also the last one, which takes exactly what is left to it"
    assert len(waiting.take()) == waiting.fill(FLOODS, 10) == 4, "as many as have left"
    assert waiting.fill(OTHER, 10) == 25

"""Clients share the device, the queue and the slots, whatever each of them sends."""

from collections import Counter
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.requests import ANONYMOUS, Generation
from service.engine.scheduler import Scheduler
from service.engine.slots import Slots, Stream
from service.errors import Overloaded
from tests.engine.running import LM, SAMPLING
from tests.engine.test_scheduler import GRID, PLANNED, admit, costs, planned, scheduler

FLOODS, OTHER = 1, 2
some_lengths = st.lists(st.integers(1, 16), min_size=20, max_size=60)


def admit_each(to: Scheduler, client: int, *lengths: int) -> None:
    for length in lengths:
        admit(to, length, client=client)


def take(from_: Scheduler) -> list[tuple[int, int]]:
    """Takes a batch; returns client and length of each of its sequences."""
    batch = from_.take()
    return [(sequence.request.client, sequence.length) for sequence in batch.sequences] if batch is not None else []


def fill(queue: Scheduler, client: int, length: int = 4) -> int:
    """Queues requests until one is rejected; returns how many were not."""
    for number in count():
        try:
            admit(queue, length, client=client)
        except Overloaded:
            return number
    raise AssertionError


@given(st.integers(1, 16), some_lengths, st.integers(1, 4), costs)
def test_a_sequence_beside_a_flooding_key_waits_for_what_is_planned_and_no_more(length, backlog, taken, times):
    queue = scheduler(tagger=times)
    admit_each(queue, FLOODS, *backlog)
    for _ in range(taken):
        take(queue)
    admit(queue, length, client=OTHER)
    for _ in list(planned(queue)):
        assert {client for client, _ in take(queue)} == {FLOODS}
    assert (OTHER, length) in take(queue)


def test_the_rows_beside_those_of_a_light_key_are_filled_from_the_backlog_of_another():
    queue = scheduler()
    admit_each(queue, FLOODS, *[15, 7, 3] * 100)
    take(queue)
    admit_each(queue, OTHER, 7, 7, 7)  # four rows cost little more than three
    for _ in list(planned(queue)):
        take(queue)
    assert Counter(client for client, _ in take(queue)) == {OTHER: 3, FLOODS: 1}


@given(some_lengths, some_lengths, costs)
def test_of_two_backlogs_each_gets_half_of_the_tokens(some, others, times):
    queue = scheduler(tagger=times)
    admit_each(queue, FLOODS, *some)
    admit_each(queue, OTHER, *others)
    served, left = Counter[int](), {FLOODS: len(some), OTHER: len(others)}
    while all(left.values()):
        most = (GRID.batch_sizes[-1] + 1) * GRID.lengths[-1]
        assert abs(served[FLOODS] - served[OTHER]) <= most, "a batch and a sequence at most"
        for client, length in take(queue):
            served[client] += length
            left[client] -= 1


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 16), st.booleans()), max_size=60))
def test_no_sequence_starves_while_other_keys_keep_sending(arrivals):
    queue = scheduler()
    admit(queue, *[16] * 3, client=OTHER)
    admit_each(queue, FLOODS, *[16] * 10)
    ran = Counter[tuple[int, int]]()
    for client, length, takes in [*arrivals, *[(0, 16, True)] * 200]:
        admit(queue, length, client=10 + client)
        if takes:
            ran.update(take(queue))
    assert (ran[OTHER, 16], ran[FLOODS, 16]) == (3, 10)


def test_a_key_has_no_credit_after_a_pause():
    queue = scheduler()
    admit(queue, 16, client=OTHER)
    take(queue)
    admit_each(queue, FLOODS, *[4] * 100)
    for _ in range(20):
        take(queue)
    admit_each(queue, OTHER, *[4] * 40)
    taken = Counter(client for _ in range(10) for client, _ in take(queue))
    assert abs(taken[FLOODS] - taken[OTHER]) <= PLANNED, "a plan at most"


def test_a_key_whose_sequences_are_all_planned_goes_on_where_it_was():
    queue = scheduler()
    admit(queue, *[16] * 8, client=FLOODS)
    take(queue)
    admit(queue, *[16] * 20, client=OTHER)
    admit(queue, 16, 16, client=FLOODS)
    take(queue)
    assert [take(queue) for _ in range(2)] == [[(OTHER, 16)] * 4] * 2, "as many as the other key had in its plan"


def test_a_key_alone_fills_half_of_the_queue_and_further_ones_always_find_room():
    queue = scheduler(max_sequences=1000)
    assert fill(queue, FLOODS) == 500
    with pytest.raises(Overloaded, match="share of the queue is full: it has 500 of 500 waiting sequences"):
        admit(queue, 4, client=FLOODS)
    assert [fill(queue, client) for client in range(OTHER, 8)] == [250, 125, 63, 31, 16, 8]
    admit(queue, *[4] * 200, client=FLOODS, begun=True)


def test_a_key_with_nothing_waiting_and_requests_without_a_key_may_fill_all_of_the_queue():
    queue = scheduler(max_sequences=1000)
    fill(queue, FLOODS)
    admit(queue, *[4] * 500, client=OTHER)
    with pytest.raises(Overloaded, match="the queue is full"):
        admit(queue, 4, client=3)
    assert fill(scheduler(max_sequences=1000), ANONYMOUS) == 1000


def test_the_tokens_of_a_key_are_limited_as_its_sequences_are():
    queue = scheduler(max_tokens=990)
    assert fill(queue, FLOODS, 10) == 50, "also the last one, which takes exactly what is left to it"
    assert len(take(queue)) == fill(queue, FLOODS, 10) == 4, "as many as have left"
    assert fill(queue, OTHER, 10) == 25


def text(client: int) -> Stream:
    return Stream(Generation(LM, np.ones(1, np.int32), 9, SAMPLING, 1e9, client=client), 0)


def test_a_free_slot_goes_to_the_client_with_the_fewest():
    def running() -> list[Stream]:
        return [stream for step in slots.assemble(0.0) for stream in step.streams]

    slots = Slots(4, prefill=4, max_waiting=99)
    for _ in range(10):
        slots.admit([text(FLOODS)])
    slots.assemble(0.0)
    for _ in range(2):
        slots.admit([text(OTHER)])
    assert [stream.request.client for stream in running()] == [FLOODS] * 4, "those that write go on"
    for stream in running()[:3]:
        slots.cancel(stream)
    assert Counter(stream.request.client for stream in running()) == {FLOODS: 2, OTHER: 2}


def test_texts_that_wait_are_shared_as_sequences_are():
    slots = Slots(1, prefill=4, max_waiting=100)
    for client, room in ((FLOODS, 50), (OTHER, 25), (3, 13)):
        slots.admit([text(client)])
        with pytest.raises(Overloaded, match="the client's share is full: 1 of"):
            slots.admit([text(client) for _ in range(room)])
        slots.admit([text(client) for _ in range(room - 1)])
        with pytest.raises(Overloaded, match=f"the client's share is full: {room} of"):
            slots.admit([text(client)])


def test_where_no_text_waits_a_key_has_as_many_admitted_as_a_request_may_have():
    slots = Slots(1, prefill=4, max_waiting=100)
    slots.admit([text(FLOODS) for _ in range(100)])
    with pytest.raises(Overloaded, match="100 of at most 100 texts wait for a slot"):
        slots.admit([text(OTHER)])

"""Requests to an engine: their answers, their deadlines, and what becomes of them when they are cancelled."""

import asyncio
import gc
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace

import pytest

from service.engine.engine import Engine
from service.engine.queue import EngineRequest
from service.engine.requests import ANONYMOUS, Requests
from service.errors import DeadlineExceeded, DeviceFailed, EngineUnavailable, Overloaded
from service.types import State
from tests.engine.running import TAGGER, hold, make_engine, request
from tests.fakes import Device, failing
from tests.waiting import iterations, until


async def test_what_a_request_leaves_behind_needs_no_search_for_garbage(made):
    wish = request([7])
    sent = weakref.ref(wish.sequences.values["ids"])
    gc.disable()
    try:
        await made.infer(wish)
        del wish
        assert sent() is None
    finally:
        gc.enable()


async def test_extra_outputs_are_fetched_for_the_batches_with_requests_for_them(device, made):
    held = await hold(device, made)
    plain = asyncio.create_task(made.infer(request(*[[i] for i in range(6)])))
    asks = asyncio.create_task(made.infer(request([3], extra_outputs=frozenset({"twice", "thrice"}))))
    await iterations(1)
    device.go.set()
    outputs = (await plain).outputs
    assert sorted(outputs) == ["ids", "sum"], "what one of two batches has is left out"
    assert outputs["sum"].tolist() == [*range(6)]
    outputs = (await asks).outputs
    assert sorted(outputs) == ["ids", "sum", "twice"], "what the model does not have is not there"
    assert outputs["twice"].tolist() == [6]
    await held
    assert sorted(map(sorted, device.fetched[1:])) == [[], ["thrice", "twice"]]


async def test_outputs_of_a_request_are_its_own_where_the_rows_of_two_batches_follow_each_other(device, made):
    held = await hold(device, made)
    one = asyncio.create_task(made.infer(request([1], [2] * 6)))  # row 0 of a batch, and row 1 of the next
    other = asyncio.create_task(made.infer(request(*[[0] * n for n in (1, 1, 1, 5, 7, 7)])))
    await iterations(1)
    device.go.set()
    assert (await one).outputs["sum"].tolist() == [1, 12]
    await asyncio.gather(held, other)


async def test_a_deadline_that_passes_says_where_the_time_went(device, made):
    running = await device.hold(made.infer(request([1], seconds=0.3)))
    with pytest.raises(DeadlineExceeded) as waited:
        await made.infer(request([2], seconds=0.05))
    assert waited.value.stages["queue"] > waited.value.stages["inference"] == 0
    with pytest.raises(DeadlineExceeded) as ran:
        await running
    assert 0 <= ran.value.stages["queue"] < ran.value.stages["inference"]


async def test_closing_answers_what_was_admitted_and_refuses_what_comes_after(device, made):
    held = await hold(device, made)
    waiting = asyncio.create_task(made.infer(request([3])))
    await asyncio.sleep(0)
    closing = asyncio.create_task(made.close())
    await iterations()
    states = [made.state]
    with pytest.raises(EngineUnavailable):
        await made.infer(request([4]))
    device.go.set()
    assert int((await waiting).outputs["sum"][0]) == 3
    await held
    await closing
    assert [*states, made.state] == [State.DRAINING, State.STOPPED]


async def test_while_a_step_does_not_end_deadlines_hold_and_the_queue_stays_bounded(device, made):
    held = await hold(device, made)
    device.shapes.clear()
    for _ in range(3):
        waiting = [asyncio.create_task(made.infer(request([i], seconds=0.05))) for i in range(8)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await made.infer(request([9]))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [DeadlineExceeded] * 8
    device.go.set()
    await held
    assert int((await made.infer(request([5]))).outputs["sum"][0]) == 5
    assert device.shapes == [(1, 1)], "what had expired was run"


class Ended:
    """Collects the requests that are over, as they are passed on."""

    def __init__(self) -> None:
        self.groups: list[list[EngineRequest]] = []

    def __call__(self, requests: Sequence[EngineRequest]) -> None:
        self.groups.append(list(requests))


def submitted(made: Engine, on_done: Ended, *rows: list[int], deadline: float | None = None) -> EngineRequest:
    """Submits a request, which is admitted."""
    inference = request(*rows)
    (admitted,) = made.submit(replace(inference, deadlines=[deadline] if deadline else inference.deadlines), on_done)
    assert isinstance(admitted, EngineRequest)
    return admitted


async def test_the_requests_of_a_batch_with_one_on_done_are_passed_on_together(device, made):
    some, others = Ended(), Ended()
    held = await hold(device, made)
    first, other, second = (submitted(made, owner, [i]) for i, owner in enumerate((some, others, some)))
    long = submitted(made, some, *[[1, 2]] * 4)  # a batch of its own
    device.go.set()
    await held
    await until(lambda: len(some.groups) == 2)
    assert (some.groups, others.groups) == ([[first, second], [long]], [[other]])
    assert not any(one.error for one in (first, other, second, long))


async def test_requests_that_fail_or_expire_are_passed_on_together(device, made):
    ended = Ended()
    held = await hold(device, made)
    deadline = time.monotonic() + 0.01
    late = [submitted(made, ended, [1], [2], deadline=deadline) for _ in range(3)]
    await until(lambda: ended.groups)
    assert ended.groups == [late]
    assert [type(one.error) for one in late] == [DeadlineExceeded] * 3
    ended.groups.clear()
    failed = [submitted(made, ended, [1], [2]) for _ in range(2)]
    device.failure = failing()
    device.go.set()
    with pytest.raises(DeviceFailed):
        await held
    await until(lambda: ended.groups)
    assert ended.groups == [failed], "each once, though both of its sequences were in the batch"
    assert [one.error for one in failed] == [device.failure] * 2


async def test_an_abandoned_request_is_not_passed_on_whether_it_waits_runs_or_is_over(device, made):
    ended = Ended()
    device.go.clear()
    device.busy.clear()
    runs = submitted(made, ended, [1])
    await until(device.busy.is_set)
    waits, stays = submitted(made, ended, [2]), submitted(made, ended, [3])
    for one in (runs, waits, waits):
        made.abandon(one)
    device.shapes.clear()
    device.go.set()
    await until(lambda: ended.groups)
    made.abandon(stays)
    assert ended.groups == [[stays]]
    assert device.shapes == [(1, 1)]


async def test_requests_that_come_together_are_admitted_or_rejected_each_by_itself(device, made):
    ended = Ended()
    held = await hold(device, made)
    sequences = request(*[[1] * n for n in [1, 2, 3, 4] * 3]).sequences
    deadline = time.monotonic() + 60
    requests = Requests(TAGGER, sequences, [5, 4, 3], [deadline] * 3, [ANONYMOUS] * 3)
    first, second, third = made.submit(requests, ended)
    assert isinstance(second, Overloaded), "5 and 4 are more than 8"
    assert (third.lengths, third.starts) == ([2, 3, 4], [21, 23, 26])
    device.go.set()
    await held
    await until(lambda: sum(map(len, ended.groups)) == 2)
    assert {one for group in ended.groups for one in group} == {first, third}


@pytest.mark.parametrize("state", [state for state in State if state is not State.READY], ids=str)
def test_an_engine_that_is_not_ready_accepts_nothing_and_says_why(state):
    made = make_engine(Device())
    made.state = state
    with pytest.raises(EngineUnavailable, match=f"the engine is {state}"):
        made.submit(request([1]), Ended())

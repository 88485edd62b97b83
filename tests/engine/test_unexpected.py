"""Unexpected errors: each is answered, and the state stays consistent."""

import asyncio
import logging
from collections.abc import Sequence

import numpy as np
import pytest

from service.backend.base import Fetch
from service.engine.queue import EngineRequest
from service.engine.scheduler import Scheduler
from service.engine.slots import Slots
from service.errors import DeviceFailed, EngineUnavailable, InternalError
from service.types import State, Tensors
from tests.engine.running import hold, prompt, request, running_engine, text, tokens
from tests.engine.test_engine import Ended
from tests.fakes import Device, Echo, failing
from tests.waiting import iterations

MOMENTS = pytest.mark.parametrize("at_start", [True, False], ids=["at its start", "when it is fetched"])


@MOMENTS
@pytest.mark.parametrize("error", [failing(), ValueError("broadcast"), MemoryError(), KeyError("ids")], ids=repr)
async def test_any_error_of_a_batch_fails_its_requests_and_no_others(error, at_start, device, made, caplog):
    device.failure, device.fails_at_start = error, at_start
    device.shapes.clear()
    known = isinstance(error, DeviceFailed)
    said = "on fire" if known else rf"a batch of tagger/1 in shape \(4, 2\) failed: {type(error).__name__}"
    with pytest.raises(DeviceFailed if known else InternalError, match=said):
        await made.infer(request(*[[1, 2]] * 8))
    device.failure = None
    assert int((await made.infer(request([5]))).outputs["sum"][0]) == 5
    ran = [(1, 1)] if at_start else [(4, 2), (1, 1)]
    assert device.shapes == ran, "the other sequences of a request that has failed never run"
    assert made.state is State.READY
    assert [bool(record.exc_info) for record in caplog.records] == [not known]


@MOMENTS
@pytest.mark.parametrize("error", [failing(), ValueError("broadcast"), MemoryError()], ids=repr)
async def test_any_error_of_a_generation_step_fails_its_texts_and_no_others(error, at_start, device, made):
    device.failure, device.fails_at_start = error, at_start
    known = isinstance(error, DeviceFailed)
    said = "on fire" if known else f"a generation step of lm/1 failed: {type(error).__name__}"
    with pytest.raises(DeviceFailed if known else InternalError, match=said):
        await anext(tokens(made, prompt(1)))
    device.failure = None
    assert await text(made, prompt(5, max_tokens=1)) == [6]


async def test_outputs_that_are_not_what_they_should_be_fail_their_batch(monkeypatch, made):
    def start(self: Echo, inputs: Tensors, extra_outputs: frozenset[str] = frozenset()) -> Fetch:
        return lambda: {"ids": np.zeros((0, 0))}

    monkeypatch.setattr(Echo, "start", start)
    with pytest.raises(InternalError, match="ids has 0 values, not 1"):
        await made.infer(request([1]))


async def test_an_error_after_a_step_fails_its_texts(monkeypatch, made):
    def fail(*_):
        raise ValueError("advance")

    with monkeypatch.context() as patch:
        patch.setattr(Slots, "advance", fail)
        with pytest.raises(InternalError, match="advance"):
            await anext(tokens(made, prompt(1)))
    assert await text(made, prompt(5, max_tokens=1)) == [6]


@pytest.mark.parametrize(("owner", "name"), [(None, "before_step"), (Scheduler, "take"), (Slots, "assemble")])
async def test_an_error_of_an_iteration_ends_the_engine_with_everything_answered(owner, name, monkeypatch, caplog):
    device, changes = Device(), list[State]()
    async with running_engine(device) as made:
        made._on_change = lambda: changes.append(made.state)
        held = await hold(device, made)
        waiting = [asyncio.create_task(made.infer(request([i]))) for i in range(3)]
        text = asyncio.create_task(anext(tokens(made, prompt(1))))
        await iterations()
        monkeypatch.setattr(owner or made, name, lambda *_: 1 / 0)
        device.go.set()
        if owner is None:  # the engine itself, before the step
            waiting.append(held)
        else:
            assert int((await held).outputs["sum"][0]) == 99
        for task in (*waiting, text):
            with pytest.raises(EngineUnavailable, match="the engine failed"):
                await task
        with pytest.raises(EngineUnavailable, match="the engine is stopped"):
            await made.infer(request([4]))
        assert made.failed.is_set()
        assert (made.state, changes) == (State.STOPPED, [State.STOPPED])
    critical = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert [record.getMessage() for record in critical] == ["the engine failed"], "once, and closing it is no error"
    assert critical[0].exc_info


def fail_to_answer(requests: Sequence[EngineRequest]) -> None:
    raise ValueError("answer")


async def test_an_error_of_on_done_for_failed_requests_does_not_keep_the_others_waiting(monkeypatch, device, made):
    ended = Ended()
    held = await hold(device, made)
    for on_done in (fail_to_answer, ended):
        made.submit(request([1]), on_done)
    text = asyncio.create_task(anext(tokens(made, prompt(1))))
    await iterations()
    monkeypatch.setattr(Scheduler, "take", lambda self: 1 / 0)
    device.go.set()
    await held
    with pytest.raises(EngineUnavailable):
        await text
    assert made.failed.is_set()
    assert [[type(one.error) for one in group] for group in ended.groups] == [[EngineUnavailable]]


async def test_an_error_of_on_done_for_expired_requests_ends_the_engine(device, made):
    held = await hold(device, made)
    made.submit(request([1], seconds=0.01), fail_to_answer)
    with pytest.raises(EngineUnavailable):
        await held
    assert made.failed.is_set()

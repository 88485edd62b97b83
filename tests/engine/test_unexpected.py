"""Unexpected errors: each is answered, and the state stays consistent."""

import asyncio
import logging
import threading

import numpy as np
import pytest

from service.engine.loader import Loader
from service.engine.local import LocalEngine
from service.engine.plan import StepTimes
from service.engine.scheduler import Scheduler
from service.engine.slots import Slots
from service.errors import EngineUnavailable, InternalError
from service.process import engine_process
from service.types import State
from tests.engine.test_engines import (
    engine,
    hold,
    local_engine,
    prompt,
    remote_engine,
    request,
    run,
    until,
)
from tests.fakes import Device, Echo

assert engine  # the fixture: each kind of engine


@pytest.mark.parametrize("error", [ValueError("broadcast"), MemoryError(), KeyError("ids")], ids=repr)
def test_any_error_of_a_batch_fails_its_requests_and_no_others(engine, error, caplog):
    async def test():
        device = Device()
        async with engine(device) as made:
            device.failure = error
            said = rf"a batch of tagger/1 in shape \(1, 1\) failed: {type(error).__name__}"
            with pytest.raises(InternalError, match=said):
                await made.infer(request([1], [2] * 8))
            device.failure = None
            assert int((await made.infer(request([5]))).outputs["sum"][0]) == 5
            assert made.state() is State.READY

    run(test())
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("error", [ValueError("broadcast"), MemoryError()], ids=repr)
def test_any_error_of_a_generation_step_fails_its_texts_and_no_others(engine, error):
    async def test():
        device = Device()
        async with engine(device) as made:
            device.failure = error
            with pytest.raises(InternalError, match=f"a generation step of lm/1 failed: {type(error).__name__}"):
                await anext(made.generate(prompt(1)))
            device.failure = None
            assert [token.id async for token in made.generate(prompt(5, max_tokens=1))] == [6]

    run(test())


def test_outputs_that_are_not_what_they_should_be_fail_their_batch(monkeypatch):
    monkeypatch.setattr(Echo, "run", lambda self, inputs, further=frozenset(): {"ids": np.zeros((0, 0))})

    async def test():
        async with local_engine(Device()) as made:
            for _ in range(2):
                with pytest.raises(InternalError, match="IndexError"):
                    await made.infer(request([1]))

    monkeypatch.setattr(Loader, "_seconds_of_step", lambda *_: 1.0)
    run(test())


def test_an_error_after_a_step_fails_its_texts(monkeypatch):
    def fail(*_):
        raise ValueError("advance")

    async def test():
        async with local_engine(Device()) as made:
            with monkeypatch.context() as patch:
                patch.setattr(Slots, "advance", fail)
                with pytest.raises(InternalError, match="advance"):
                    await anext(made.generate(prompt(1)))
            assert [token.id async for token in made.generate(prompt(5, max_tokens=1))] == [6]

    run(test())


@pytest.mark.parametrize("kind", [local_engine, remote_engine])
def test_an_error_in_choosing_work_ends_the_engine_with_everything_answered(kind, monkeypatch, caplog):
    async def test():
        device, others = Device(), set(threading.enumerate())
        async with kind(device) as made:
            held = await hold(device, made)
            waiting = [asyncio.create_task(made.infer(request([i]))) for i in range(3)]
            text = asyncio.create_task(anext(made.generate(prompt(1))))
            await asyncio.sleep(0.01)
            monkeypatch.setattr(Scheduler, "take", lambda self: 1 / 0)
            device.go.set()
            assert int((await held).outputs["sum"][0]) == 99
            for task in (*waiting, text):
                with pytest.raises(EngineUnavailable):
                    await task
            with pytest.raises(EngineUnavailable):
                await made.infer(request([4]))
            if isinstance(made, LocalEngine):
                assert made.state() is State.STOPPED
            own = [thread for thread in threading.enumerate() if thread.name == "device" and thread not in others]
            await until(lambda: not any(thread.is_alive() for thread in own))

    run(test())
    assert any(record.levelno == logging.CRITICAL and record.exc_info for record in caplog.records)


def test_a_process_whose_engine_has_failed_ends(monkeypatch):
    async def test():
        stop = asyncio.Event()
        async with local_engine(Device()) as made:
            watching = asyncio.create_task(engine_process.end_if_the_engine_fails(made, stop))
            await asyncio.sleep(0)
            assert not watching.done()
            monkeypatch.setattr(Scheduler, "take", lambda self: 1 / 0)
            with pytest.raises(EngineUnavailable):
                await made.infer(request([1]))
            await stop.wait()

    run(test())


def test_an_error_while_a_batch_is_counted_harms_no_request(monkeypatch, caplog):
    """It comes after the answers, and would come again."""

    async def test():
        async with local_engine(Device()) as made:
            monkeypatch.setattr(StepTimes, "measured", lambda *_: 1 / 0)
            assert int((await made.infer(request([5]))).outputs["sum"][0]) == 5
            await made.failed.wait()
            assert made.state() is State.STOPPED

    run(test())

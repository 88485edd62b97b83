"""A device that does not come back: nobody waits beyond his deadline, and the engine is not kept."""

import asyncio
import os

import pytest

from service.errors import DeadlineExceeded, Overloaded
from service.process import engine_process
from tests.engine.test_engines import hold, local_engine, request, run
from tests.fakes import Device


def test_while_the_device_hangs_deadlines_hold_and_the_queue_stays_bounded():
    async def test():
        device = Device()
        async with local_engine(device) as made:
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

    run(test())


def test_an_engine_whose_device_hangs_ends_so_that_it_is_started_again(monkeypatch):
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    monkeypatch.setattr(engine_process, "LONGEST_STEP_SECONDS", 0.05)
    monkeypatch.setattr(engine_process, "STEP_POLL_SECONDS", 0.02)

    async def test():
        device = Device()
        async with local_engine(device) as made:
            watching = asyncio.create_task(engine_process.end_if_the_device_hangs(made))
            await asyncio.sleep(0.2)
            assert made.step_seconds() == 0
            assert not watching.done(), "an idle device does not hang"
            held = await hold(device, made)
            await watching
            assert statuses == [engine_process.EXIT_FAILED]
            device.go.set()
            await held

    run(test())

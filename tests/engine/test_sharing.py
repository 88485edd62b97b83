"""Identical requests in flight are computed once, and nobody is harmed by whom he shares with."""

import asyncio

import pytest

from service.errors import DeadlineExceeded, DeviceFailed
from tests.engine.test_engines import hold, request, run, sharing_engine, until
from tests.fakes import Device, failing


def test_identical_requests_in_flight_are_computed_once():
    async def test():
        device = Device()
        async with sharing_engine(device) as made:
            held = await hold(device, made)
            device.shapes.clear()
            same = [asyncio.create_task(made.infer(request([1, 2], [3]))) for _ in range(5)]
            other = asyncio.create_task(made.infer(request([1, 2], [4])))
            await asyncio.sleep(0.01)
            device.go.set()
            outcomes = await asyncio.gather(*same)
            assert {tuple(int(output["sum"]) for output in outcome.outputs) for outcome in outcomes} == {(3, 3)}
            assert [int(output["sum"]) for output in (await other).outputs] == [3, 4]
            await held
            assert device.shapes == [(4, 4)], "four sequences of two requests"
            await made.infer(request([1, 2], [3]))
            assert len(device.shapes) == 2, "what is done is not remembered"

    run(test())


def test_requests_for_other_outputs_or_of_the_same_numbers_in_other_shapes_or_order_are_not_identical():
    async def test():
        device = Device()
        async with sharing_engine(device) as made:
            held = await hold(device, made)
            device.shapes.clear()
            rows = [([1, 2],), ([1], [2]), ([2, 1],), ([2], [1])]
            more = asyncio.create_task(made.infer(request([1, 2], further=frozenset({"twice"}))))
            tasks = [asyncio.create_task(made.infer(request(*row))) for row in rows]
            await asyncio.sleep(0.01)
            device.go.set()
            for row, task in zip(rows, tasks, strict=True):
                assert [output["ids"].tolist() for output in (await task).outputs] == [list(ids) for ids in row]
            assert (await more).outputs[0]["twice"].tolist() == [2, 4]
            await held

    run(test())


def test_the_one_who_asked_first_may_go():
    async def test():
        device = Device()
        async with sharing_engine(device) as made:
            held = await hold(device, made)
            device.shapes.clear()
            first, second = (asyncio.create_task(made.infer(request([1]))) for _ in range(2))
            await asyncio.sleep(0.01)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            device.go.set()
            assert int((await second).outputs[0]["sum"]) == 1
            await held

    run(test())


def test_when_all_have_gone_the_place_is_free_and_the_next_begins_anew():
    async def test():
        device = Device()
        async with sharing_engine(device) as made:
            held = await hold(device, made)
            device.shapes.clear()
            tasks = [asyncio.create_task(made.infer(request([1]))) for _ in range(2)]
            await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            again = asyncio.create_task(made.infer(request([1])))
            await asyncio.gather(*tasks, return_exceptions=True)
            device.go.set()
            assert int((await again).outputs[0]["sum"]) == 1
            await held
            assert device.shapes == [(1, 4)]

    run(test())


def test_each_keeps_its_own_deadline():
    async def test():
        device = Device()
        async with sharing_engine(device) as made:
            held = await hold(device, made)
            device.shapes.clear()
            hurried = asyncio.create_task(made.infer(request([1], seconds=0.05)))
            await asyncio.sleep(0)
            patient = asyncio.create_task(made.infer(request([1])))
            with pytest.raises(DeadlineExceeded):
                await hurried
            assert not patient.done()
            await asyncio.sleep(0.01)
            device.go.set()
            assert int((await patient).outputs[0]["sum"]) == 1
            await held

    run(test())


def test_an_error_reaches_all_who_share():
    async def test():
        device = Device()
        async with sharing_engine(device) as made:
            held = await hold(device, made)
            device.shapes.clear()
            tasks = [asyncio.create_task(made.infer(request([1]))) for _ in range(3)]
            await asyncio.sleep(0.01)
            device.failure = failing()
            device.go.set()
            results = await asyncio.gather(held, *tasks, return_exceptions=True)
            assert [type(result) for result in results] == [DeviceFailed] * 4
            await until(lambda: not made._in_flight)

    run(test())

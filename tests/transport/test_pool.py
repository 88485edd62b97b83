"""Several engines as one: who gets a request, and what becomes of it when an engine dies."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from service.engine.local import LocalEngine
from service.engine.protocol import Outcome
from service.errors import DeviceFailed, EngineUnavailable
from service.transport.pool import EnginePool
from service.transport.remote import RemoteEngine
from service.types import ModelState, Sampled, State
from tests.engine.test_engines import LM, TAGGER, local_engine, prompt, remote_engine, request, run, transport_of, until
from tests.fakes import Device, ReadyEngine, failing


@asynccontextmanager
async def pool(*devices: Device, engine=local_engine) -> AsyncIterator[EnginePool]:
    async with AsyncExitStack() as stack:
        yield EnginePool([await stack.enter_async_context(engine(device)) for device in devices])


def test_each_request_goes_to_the_engine_that_has_least_to_do():
    async def test():
        devices = [Device(), Device(), Device()]
        async with pool(*devices) as made:
            for device in devices:
                device.shapes.clear()
                device.go.clear()
            rows = [[1] * 8, [2] * 2, [3] * 3, [4], [5]]
            tasks = []
            for row in rows:
                tasks.append(asyncio.create_task(made.infer(request(row))))
                await asyncio.sleep(0.01)
            for device in devices:
                device.go.set()
            outcomes = await asyncio.gather(*tasks)
            assert [outcome.outputs["ids"].tolist() for outcome in outcomes] == rows
            assert [device.shapes for device in devices] == [[(1, 8)], [(1, 2), (2, 1)], [(1, 3)]]

    run(test())


def test_texts_are_spread():
    async def test():
        devices = [Device(), Device()]
        async with pool(*devices) as made:
            texts = [made.generate(prompt(i, max_tokens=10**6)) for i in range(4)]
            for i, text in enumerate(texts):
                assert (await anext(text)).id == i + 1
            assert [len(set(device.steps[-1]["slots"][:2].tolist())) for device in devices] == [2, 2]
            for text in texts:
                await text.aclose()
            assert made._texts == dict.fromkeys(made._engines, 0)

    run(test())


def test_a_request_whose_engine_dies_is_answered_by_another():
    async def test():
        devices = [Device(), Device()]
        async with pool(*devices, engine=remote_engine) as made:
            devices[0].go.clear()
            devices[0].busy.clear()
            waiting = asyncio.create_task(made.infer(request([1, 2])))
            await until(devices[0].busy.is_set)
            first = made._engines[0]
            assert isinstance(first, RemoteEngine)
            transport_of(first._clients[0].connection).abort()
            assert int((await waiting).outputs["sum"][0]) == 3
            devices[0].go.set()

    run(test())


def test_an_error_of_the_device_is_not_tried_again():
    async def test():
        devices = [Device(), Device()]
        async with pool(*devices) as made:
            devices[0].failure = failing()
            with pytest.raises(DeviceFailed):
                await made.infer(request([1]))
            assert made._tokens == dict.fromkeys(made._engines, 0)

    run(test())


def test_the_pool_is_ready_as_long_as_an_engine_is():
    async def test():
        async with pool(Device(), Device()) as made:
            first, second = made._engines
            assert isinstance(first, LocalEngine)
            await first.close()
            assert (first.state(), made.state()) == (State.STOPPED, State.READY)
            assert int((await made.infer(request([1]))).outputs["sum"][0]) == 1
            await second.close()
            assert made.state() is State.STOPPED
            with pytest.raises(EngineUnavailable):
                await made.infer(request([1]))

    run(test())


def test_a_model_is_as_ready_as_in_its_best_engine():
    async def test():
        broken = Device()
        broken.broken = {"tagger"}
        async with pool(broken, Device()) as made:
            assert made.models() == [ModelState(TAGGER, State.READY), ModelState(LM, State.READY)]
            assert int((await made.infer(request([1]))).outputs["sum"][0]) == 1

    run(test())


class Unavailable(ReadyEngine):
    """An engine that says that it is ready, and takes nothing."""

    def __init__(self) -> None:
        self.tried = 0

    def models(self) -> list[ModelState]:
        return [ModelState(TAGGER, State.READY), ModelState(LM, State.READY)]

    async def infer(self, request: object) -> Outcome:
        self.tried += 1
        assert self.tried == 1
        raise EngineUnavailable("gone")

    async def generate(self, request: object) -> AsyncGenerator[Sampled, None]:
        await self.infer(request)
        yield Sampled(0)


@pytest.mark.parametrize("kind", ["infer", "generate"])
def test_each_engine_is_tried_once_whatever_it_says_of_itself(kind):
    async def test():
        engines = [Unavailable(), Unavailable(), Unavailable()]
        made = EnginePool(engines)
        with pytest.raises(EngineUnavailable, match="none of 3 engines"):
            await (made.infer(request([1])) if kind == "infer" else anext(made.generate(prompt(1))))
        assert [engine.tried for engine in engines] == [1, 1, 1]

    run(test())

"""An engine that ends says so before it refuses anything; nobody asks it again and again."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from service.engine.local import LocalEngine
from service.errors import EngineUnavailable
from service.process.engine_process import EngineProcess
from service.process.listening import open_engine_socket
from service.transport.pool import EnginePool
from service.transport.remote import RemoteEngine
from service.transport.server import EngineServer
from service.types import State
from tests.engine.test_engines import LM, TAGGER, hold, local_engine, prompt, request, run, until
from tests.fakes import Device, ReadyEngine
from tests.transport.test_pool import pool


class Refusing(ReadyEngine):
    """An engine that looks ready and refuses everything."""

    def __init__(self, behind, state: State = State.READY) -> None:
        self.behind, self.shown, self.asked = behind, state, 0

    def state(self) -> State:
        return self.shown

    def models(self):
        return self.behind.models()

    async def infer(self, request):
        self.asked += 1
        raise EngineUnavailable("the engine is draining")

    async def generate(self, request):
        self.asked += 1
        raise EngineUnavailable("the engine is draining")
        yield


def test_a_pool_asks_an_engine_that_refuses_once_and_then_another():
    async def test():
        async with local_engine(Device()) as behind:
            refusing = Refusing(behind)
            made = EnginePool([refusing, behind])
            assert int((await made.infer(request([5]))).outputs["sum"][0]) == 5
            assert [token.id async for token in made.generate(prompt(5, max_tokens=2))] == [6, 7]
            assert refusing.asked == 2

    run(test())


def test_a_pool_of_engines_that_all_refuse_asks_each_once():
    async def test():
        async with local_engine(Device()) as behind:
            some = [Refusing(behind), Refusing(behind)]
            made = EnginePool(some)
            with pytest.raises(EngineUnavailable):
                await made.infer(request([5]))
            with pytest.raises(EngineUnavailable):
                await anext(made.generate(prompt(5)))
            assert [one.asked for one in some] == [2, 2]
            assert set(made._tokens.values()) | set(made._texts.values()) == {0}

    run(test())


@pytest.mark.parametrize("state", [state for state in State if state is not State.READY])
def test_a_pool_asks_none_that_is_not_ready(state):
    async def test():
        async with local_engine(Device()) as behind:
            some = [Refusing(behind, state), Refusing(behind, state)]
            made = EnginePool(some)
            assert made.state() is state
            with pytest.raises(EngineUnavailable, match=state):
                await made.infer(request([5]))
            with pytest.raises(EngineUnavailable, match=state):
                await anext(made.generate(prompt(5)))
            assert [one.asked for one in some] == [0, 0]

    run(test())


def test_a_text_that_has_begun_is_lost_with_its_engine():
    async def test():
        async with pool(Device(), Device()) as made:
            text = made.generate(prompt(5, max_tokens=10**6))
            assert (await anext(text)).id == 6
            first = made._engines[0]
            assert isinstance(first, LocalEngine)
            error = EngineUnavailable("gone")
            for queue in first._texts.values():
                queue.put_nowait(error)
            with pytest.raises(EngineUnavailable, match="gone"):
                async for _ in text:
                    pass

    run(test())


class Draining:
    """Engines in processes that are told to end, and workers."""

    def __init__(self, device, process, server, callers) -> None:
        self.device, self.process, self.server, self.callers = device, process, server, callers


@asynccontextmanager
async def draining(callers: int = 1) -> AsyncIterator[Draining]:
    async with AsyncExitStack() as stack:
        address = f"{stack.enter_context(tempfile.TemporaryDirectory())}/engine"
        device = Device()
        local = await stack.enter_async_context(local_engine(device))
        server = EngineServer(local)
        process = EngineProcess(local, server, open_engine_socket(address), asyncio.Event())
        await process.open()
        made = [RemoteEngine(address) for _ in range(callers)]
        for one in made:
            await one.start(lambda: None)
            stack.push_async_callback(one.close)
            await until(lambda one=one: one.state() is State.READY)
        yield Draining(device, process, server, made)


def test_workers_hear_that_an_engine_drains_before_it_refuses_anything():
    async def test():
        async with draining() as here:
            (caller,) = here.callers
            held = await hold(here.device, caller)
            ending = asyncio.create_task(here.process.drain(60))
            crossing = asyncio.create_task(caller.infer(request([7])))  # sent before it has heard
            await until(lambda: caller.state() is State.DRAINING)
            with pytest.raises(EngineUnavailable, match="draining"):
                await caller.infer(request([8]))
            assert not ending.done(), "requests are under way"
            here.device.go.set()
            assert int((await held).outputs["sum"][0]) == 99
            begun = replace(request([9]), begun=True)
            assert int((await caller.infer(begun)).outputs["sum"][0]) == 9, "the next step of a request"
            assert int((await crossing).outputs["sum"][0]) == 7
            await ending
            assert here.server.workers == 0

    run(test())


def test_a_pool_leaves_an_engine_that_drains_for_another():
    async def test():
        async with draining() as here, local_engine(Device()) as other:
            made = EnginePool([*here.callers, other])
            held = await hold(here.device, made)
            ending = asyncio.create_task(here.process.drain(60))
            await until(lambda: here.callers[0].state() is State.DRAINING)
            assert made.state() is State.READY
            assert int((await made.infer(request([5]))).outputs["sum"][0]) == 5
            assert {model.key: model.state for model in made.models()} == {TAGGER: State.READY, LM: State.READY}
            here.device.go.set()
            await held
            await ending

    run(test())


def test_a_worker_that_does_not_leave_is_not_waited_for_for_ever():
    async def test():
        async with draining(callers=2) as here:
            held = await hold(here.device, here.callers[0])
            await here.process.drain(0)
            assert here.server.workers
            here.device.go.set()
            await held

    run(test())


def test_the_loss_of_an_engine_is_logged_once(caplog):
    async def test():
        async with draining() as here:
            await here.process.drain(60)
            await until(lambda: here.callers[0].state() is State.STOPPED)
            for _ in range(200):
                await asyncio.sleep(0)

    run(test())
    messages = [record.getMessage() for record in caplog.records if "no requests" in record.getMessage()]
    assert len(messages) == 1
    assert "is draining" in messages[0]

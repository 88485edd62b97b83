"""An engine takes the place of another at the same address; nobody who asks notices."""

import asyncio
import os
import socket
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from service.engine.local import LocalEngine
from service.engine.priority import NICENESS, call_at_low_priority
from service.engine.protocol import OnChange
from service.errors import EngineUnavailable
from service.process.listening import open_engine_socket
from service.telemetry.metrics import Metrics
from service.transport import remote
from service.transport.remote import RemoteEngine
from service.transport.server import EngineServer
from service.types import ModelKey, State
from tests.engine.test_engines import SETTINGS, TAGGER, prompt, request, run, transport_of, until
from tests.fakes import Device, version_of

NEXT = ModelKey("tagger", "2")


class Place(NamedTuple):
    """An engine behind a socket that it shares with another."""

    device: Device
    server: EngineServer
    listening: asyncio.Server


class Scene(NamedTuple):
    """A caller, and the engines that serve it one after the other."""

    caller: RemoteEngine
    old: Place
    new: LocalEngine
    listening: socket.socket
    sockets: list[asyncio.Server]
    states: list[State]

    async def supersede(self) -> Place:
        """Lets the new engine take over, as the supervisor does."""
        server = EngineServer(self.new)
        place = Place(Device(), server, await server.listen(self.listening.dup()))
        self.sockets.append(place.listening)
        self.old.listening.close()
        self.old.server.announce(State.SUPERSEDED)
        return place


@asynccontextmanager
async def scene(on_change: OnChange = lambda: None) -> AsyncIterator[Scene]:
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/engine"
        listening = open_engine_socket(address)
        device = Device()
        old = LocalEngine(SETTINGS, [version_of("tagger"), version_of("lm", "generate")], lambda: device, Metrics())
        new = LocalEngine(SETTINGS, [version_of("tagger", version="2")], Device, Metrics())
        await old.start(lambda: None)
        await new.start(lambda: None)
        server = EngineServer(old)
        place = Place(device, server, await server.listen(listening.dup()))
        caller = RemoteEngine(address)
        states: list[State] = []

        def changed():
            states.append(caller.state())
            return on_change()

        await caller.start(changed)
        await until(lambda: caller.state() is State.READY)
        try:
            sockets = [place.listening]
            yield Scene(caller, place, new, listening, sockets, states)
        finally:
            listening.close()
            for server_socket in sockets:
                server_socket.close()
            device.go.set()
            await caller.close()
            await asyncio.gather(old.close(), new.close())


def test_what_is_under_way_ends_where_it_began_and_what_comes_goes_to_the_successor(monkeypatch):
    monkeypatch.setattr(remote, "LINGER_SECONDS", 0.0)

    async def test():
        async with scene() as here:
            here.old.device.go.clear()
            under_way = asyncio.create_task(here.caller.infer(request([1, 2])))
            text = here.caller.generate(prompt(5, max_tokens=4))
            first = asyncio.create_task(anext(text))
            await until(here.old.device.busy.is_set)
            place = await here.supersede()
            await until(lambda: NEXT in {model.key for model in here.caller.models()})
            assert int((await here.caller.infer(request([3], model=NEXT))).outputs["sum"][0]) == 3
            assert here.old.server.workers == 1, "it has requests under way"
            here.old.device.go.set()
            assert int((await under_way).outputs["sum"][0]) == 3
            assert [(await first).id, *[sampled.id async for sampled in text]] == [6, 7, 8, 9]
            await until(lambda: here.old.server.workers == 0)
            assert place.server.workers == 1
            assert [model.key for model in here.caller.models()] == [NEXT]
            assert set(here.states) == {State.READY}

    run(test())


def test_the_old_engine_is_left_once_the_caller_has_taken_the_new_versions_in(monkeypatch):
    monkeypatch.setattr(remote, "LINGER_SECONDS", 0.0)

    async def test():
        taken_in = asyncio.Event()

        async def take_in() -> None:
            await taken_in.wait()

        async with scene(on_change=take_in) as here:
            await here.supersede()
            await until(lambda: NEXT in {model.key for model in here.caller.models()})
            for _ in range(100):
                await asyncio.sleep(0)
            assert int((await here.caller.infer(request([4], model=TAGGER))).outputs["sum"][0]) == 4
            assert here.old.server.workers == 1, "the caller still chooses among the old versions"
            taken_in.set()
            await until(lambda: here.old.server.workers == 0)

    run(test())


def test_an_error_while_a_change_is_taken_in_is_logged_once_and_keeps_the_connection(caplog):
    def fail() -> None:
        raise KeyError("xpos")

    async def fail_later() -> None:
        fail()

    async def test(on_change):
        async with scene(on_change=on_change) as here:
            client = here.caller._clients[-1]
            here.old.server.report()
            assert int((await here.caller.infer(request([4]))).outputs["sum"][0]) == 4
            assert here.caller._clients == [client]

    for on_change in (fail, fail_later):
        caplog.clear()
        run(test(on_change))
        assert [record.message for record in caplog.records if record.exc_info] == [
            "the handler of an engine's state change failed"
        ] * 2, "one for each report"


def test_a_request_that_has_chosen_the_old_version_reaches_it_after_the_change():
    async def test():
        async with scene() as here:
            await here.supersede()
            await until(lambda: NEXT in {model.key for model in here.caller.models()})
            shares = {model.key: model.share for model in here.caller.models()}
            assert (shares[TAGGER], shares[NEXT]) == (0.0, 1.0)
            assert int((await here.caller.infer(request([4], model=TAGGER))).outputs["sum"][0]) == 4

    run(test())


def test_an_engine_that_is_superseded_by_nobody_yet_goes_on_answering():
    async def test():
        async with scene() as here:
            first, attempts = here.caller._clients[0], 0

            async def sleep(seconds: float) -> None:
                nonlocal attempts
                attempts += 1
                assert len(here.caller._clients) <= 2, "it is looked for on one connection at a time"
                if attempts > 3:
                    await asyncio.Event().wait()

            here.caller._sleep = sleep
            here.old.server.announce(State.SUPERSEDED)
            await until(lambda: attempts > 3)
            assert here.caller.state() is State.READY
            assert int((await here.caller.infer(request([4]))).outputs["sum"][0]) == 4
            assert here.caller._clients[0] is first

    run(test())


def test_without_any_engine_requests_fail_at_once_and_the_models_may_come_again():
    async def test():
        async with scene() as here:
            here.old.listening.close()
            for client in list(here.caller._clients):
                transport_of(client.connection).abort()
            await until(lambda: here.caller.state() is State.STARTING)
            assert {model.state for model in here.caller.models()} == {State.STARTING}
            with pytest.raises(EngineUnavailable):
                await here.caller.infer(request([1]))
            assert here.states[-1] is State.STARTING

    run(test())


def test_patient_work_gives_way_and_its_errors_come_through():
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    assert call_at_low_priority(niceness) == min(before + NICENESS, 19)
    assert niceness() == before

    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        call_at_low_priority(fail)

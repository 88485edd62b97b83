"""A silent engine: noticed by beats that the tests count themselves."""

import asyncio

import pytest

from service.errors import EngineUnavailable
from service.transport import connection
from service.transport.client import EngineClient
from service.transport.heartbeat import SILENT_BEATS, Heartbeat
from service.transport.pool import EnginePool
from service.transport.remote import RemoteEngine
from service.types import State
from tests.engine.test_engines import hold, prompt, remote_engine, request, run, transport_of, until
from tests.fakes import Device


class Peer:
    """Counts what a heartbeat does."""

    def __init__(self) -> None:
        self.busy, self.reads, self.pings, self.silences = True, 0, 0, 0
        self.heartbeat = Heartbeat(lambda: self.busy, lambda: self.reads, self.ping, self.silence)

    def ping(self) -> None:
        self.pings += 1

    def silence(self) -> None:
        self.silences += 1

    def beat(self, times: int) -> None:
        for _ in range(times):
            self.heartbeat.beat()


def test_a_peer_counts_as_silent_after_so_many_beats_without_anything():
    async def test():
        peer = Peer()
        peer.heartbeat.watch()
        peer.beat(SILENT_BEATS)
        assert (peer.pings, peer.silences) == (1, 0)
        peer.beat(1)
        assert (peer.pings, peer.silences) == (1, 1)

    run(test())


def test_whatever_comes_is_a_sign_of_life():
    async def test():
        peer = Peer()
        peer.heartbeat.watch()
        for _ in range(5):
            peer.beat(SILENT_BEATS)
            peer.reads += 1
        peer.beat(1)
        assert (peer.pings, peer.silences) == (6, 0)
        peer.heartbeat.stop()

    run(test())


def test_a_peer_without_work_may_be_silent_and_what_was_before_does_not_count():
    async def test():
        peer = Peer()
        peer.heartbeat.watch()
        peer.beat(SILENT_BEATS)
        peer.busy = False
        peer.beat(1)
        assert peer.silences == 0
        peer.busy = True
        peer.heartbeat.watch()
        peer.beat(SILENT_BEATS)
        assert (peer.pings, peer.silences) == (2, 0)
        peer.heartbeat.stop()

    run(test())


def silent(made: RemoteEngine) -> EngineClient:
    """Lets an engine fall silent: what it sends is not read any more."""
    client = made._clients[-1]
    transport_of(client.connection).pause_reading()
    for _ in range(SILENT_BEATS + 1):
        client._heartbeat.stop()
        client._heartbeat.beat()
    return client


def test_a_silent_engine_is_away_until_it_answers_again():
    async def test():
        device = Device()
        async with remote_engine(device) as made:
            states = []
            made._changes._on_change = lambda: states.append(made.state())
            held = await hold(device, made)
            waiting = asyncio.create_task(anext(made.generate(prompt(1))))
            await asyncio.sleep(0)
            client = silent(made)
            for task in (held, waiting):
                with pytest.raises(EngineUnavailable, match="has not answered for 2 s"):
                    await task
            assert made.state() is State.AWAY
            assert {model.state for model in made.models()} == {State.STARTING}, "so that requests get 503"
            with pytest.raises(EngineUnavailable, match="away"):
                await made.infer(request([1]))
            device.go.set()
            transport_of(client.connection).resume_reading()
            await until(lambda: made.state() is State.READY)
            assert int((await made.infer(request([5]))).outputs["sum"][0]) == 5
            assert states == [State.AWAY, State.READY]

    run(test())


def test_an_engine_whose_device_is_busy_is_not_silent():
    async def test():
        device = Device()
        async with remote_engine(device) as made:
            held = await hold(device, made)
            client = made._clients[-1]
            for _ in range(5 * SILENT_BEATS):
                before = client.connection.reads
                client._heartbeat.stop()
                client._heartbeat.beat()
                await until(lambda before=before: client.connection.reads > before)
            assert made.state() is State.READY
            device.go.set()
            assert int((await held).outputs["sum"][0]) == 99

    run(test())


def test_a_worker_that_does_not_read_is_hung_up_on_and_comes_again(monkeypatch):
    monkeypatch.setattr(connection, "UNSENT_BYTES", 1000)
    monkeypatch.setattr(connection, "STALLED_SECONDS", 0.0)

    async def test():
        async with remote_engine(Device()) as made:
            client = made._clients[-1]
            transport_of(client.connection).pause_reading()
            waiting = []
            while client.connection._transport is not None:  # a write shows that the other end is closed
                waiting.append(asyncio.create_task(made.infer(request(*[[1] * 8] * 8))))
                await asyncio.sleep(0.001)
            errors = await asyncio.gather(*waiting, return_exceptions=True)
            assert EngineUnavailable in {type(error) for error in errors}
            await until(lambda: made.state() is State.READY)
            assert int((await made.infer(request([5]))).outputs["sum"][0]) == 5

    run(test())


def test_a_request_with_a_silent_engine_goes_to_another():
    async def test():
        devices = [Device(), Device()]
        async with remote_engine(devices[0]) as first, remote_engine(devices[1]) as second:
            pool = EnginePool([first, second])
            devices[0].go.clear()
            devices[0].busy.clear()
            waiting = asyncio.create_task(pool.infer(request([1, 2])))
            await until(devices[0].busy.is_set)
            silent(first)
            assert int((await waiting).outputs["sum"][0]) == 3
            assert pool.state() is State.READY
            devices[0].go.set()

    run(test())

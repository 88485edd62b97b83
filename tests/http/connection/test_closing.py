"""Timers of a connection, and what is left of it once it is closed, in whatever state it was."""

import asyncio
import gc
import json
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from service.http import plain_requests
from service.http.connection.bounded_protocol import INTERIM
from service.http.connection.connection import Connection
from service.pipelines.run import advance
from service.text.interruptible import Interruptible
from tests.http.running import Service, running
from tests.http.wire import GET, Wire, application, new_connection, post, requests_counted
from tests.waiting import iterations, until

FINE = post("/classify", b'{"text": "fine"}')
KEEP_ALIVE_SECONDS = 5  # uvicorn's default
RECEIVE_TIMEOUT_SECONDS = 30
LARGE = post("/classify", b'{"text": "fine%b"}' % (b" " * 100_000))
LINES = (
    b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1\r\n{\r\n"
)


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock tests put forward."""

    offset = 0.0

    def time(self) -> float:
        return super().time() + self.offset

    async def pass_seconds(self, seconds: float) -> None:
        """Lets seconds pass, in steps in which timers that have been delayed by others fire."""
        for _ in range(20):
            self.offset += seconds / 20
            await iterations(2)

    def timers(self, owner: object) -> list[asyncio.TimerHandle]:
        """Returns the timers that call methods of an object."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return [
            timer
            for timer in scheduled
            if not timer.cancelled() and getattr(timer._callback, "__self__", None) is owner  # type: ignore[attr-defined]
        ]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": Loop}


on_both_loops = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"loop_factory": factory}) for factory in (asyncio.SelectorEventLoop, uvloop.new_event_loop)],
    ids=["asyncio", "uvloop"],
)


def running_loop() -> Loop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    return loop


@pytest.mark.parametrize("request_", [FINE, application(FINE), GET], ids=["plain", "application", "get"])
async def test_a_connection_has_one_timer_for_all_its_requests_and_is_closed_when_idle(request_):
    loop = running_loop()
    async with running() as service:
        connection, wire = service.send()
        for number in range(1, 6):
            connection.data_received(request_)
            await until(lambda: len(wire.answers()) == number)  # noqa: B023 (called in the same iteration)
            assert len(loop.timers(connection)) == 1
            await loop.pass_seconds(KEEP_ALIVE_SECONDS - 1)
            assert not wire.closed, "it was idle for less than the keep-alive"
            assert len(loop.timers(connection)) == 1
        await loop.pass_seconds(3)
        assert wire.closed
        connection.connection_lost(None)
        assert not loop.timers(connection)


async def test_a_connection_whose_request_waits_or_arrives_is_not_idle():
    loop = running_loop()
    async with running() as service:
        connection, wire = service.send(FINE)
        await until(wire.answers)
        await service.hold()
        connection.data_received(FINE + FINE[:30])
        service.context.plain.run()
        await loop.pass_seconds(RECEIVE_TIMEOUT_SECONDS + KEEP_ALIVE_SECONDS)
        assert connection.in_exchange
        assert not wire.closed
        service.device.go.set()
        await until(lambda: len(wire.answers()) == 2)
        connection.data_received(FINE[30:-1])
        await loop.pass_seconds(RECEIVE_TIMEOUT_SECONDS - 1)
        assert not wire.closed
        connection.data_received(FINE[-1:])
        await until(lambda: len(wire.answers()) == 3)
        await loop.pass_seconds(2 * KEEP_ALIVE_SECONDS + 1)
        assert wire.closed
        assert [answer.status for answer in wire.answers()] == [200, 200, 200]


State = Callable[[Service], Awaitable[Connection]]


def after(
    data: bytes = b"", *, held: bool = False, rounds: int = 0, ready: Callable[[Wire], object] = lambda wire: True
) -> State:
    """Returns the state of a connection that has received data, some iterations later, and once its wire is ready.

    held: while the device is busy.
    """

    async def state(service: Service) -> Connection:
        if held:
            await service.hold()
        connection, wire = service.send(data)
        if held:
            service.context.plain.run()  # the engine, whose steps are held, does not call it
        await iterations(rounds)
        await until(lambda: ready(wire))
        return connection

    return state


async def runs(service: Service) -> Connection:
    service.device.go.clear()
    connection, _ = service.send(FINE)
    await until(service.device.busy.is_set)
    return connection


async def long_work(service: Service) -> Connection:
    connection, _ = service.send(post("/tag", json.dumps({"text": "a cat isn't 1 dog! " * 800}).encode()))
    await iterations(10)
    assert service.context.plain._works
    return connection


async def unread(service: Service) -> Connection:
    connection, wire = service.send(FINE)
    await until(wire.answers)
    wire.unsent = 10
    connection.pause_writing()
    connection.data_received(FINE)
    return connection


def closed(wire: Wire) -> bool:
    return wire.closed


STATES: dict[str, State] = {
    "nothing": after(),
    "part of a head": after(FINE[:30]),
    "part of a body": after(FINE[:-5]),
    "part of another body": after(application(FINE)[:-5], rounds=20),
    "lines": after(LINES, rounds=20),
    "answered": after(FINE, ready=Wire.answers),
    "answered by the application": after(application(FINE), ready=Wire.answers),
    "closing": after(post("/tag", b'{"text": "fine"}', "Connection: close"), ready=closed),
    "refused": after(b"nonsense\r\n\r\n", ready=closed),
    "arrived": after(FINE),
    "waits": after(FINE, held=True),
    "waits in the application": after(application(FINE), held=True, rounds=50),
    "runs": runs,
    "others behind it": after(FINE * 3 + application(FINE) + GET, held=True),
    "others behind one of the application": after(application(FINE) + FINE * 3, held=True, rounds=20),
    "invalid behind it": after(FINE + b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", ready=closed),
    "long work": long_work,
    "unread": unread,
}


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes each turn as short as the work can be cut."""

    def shortest(work: Interruptible[None], seconds: float) -> tuple[None] | None:
        return advance(work, 0.0)

    monkeypatch.setattr(plain_requests, "advance", shortest)


@pytest.fixture(scope="module")
def frozen() -> None:
    """Excludes what tests before these have left from garbage collections, each of which would take half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def no_garbage_collection(frozen: None) -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["closed", "reset"])
@pytest.mark.usefixtures("short_turns", "no_garbage_collection")
async def test_nothing_stays_of_a_connection_that_is_closed(state, error):
    loop = running_loop()
    async with running() as service:
        connection = await STATES[state](service)
        service.sent.remove(connection)
        transport = connection.transport
        wire = transport._transport
        assert isinstance(wire, Wire)
        wire.closed = True  # as a transport does before it says so
        connection.connection_lost(error)
        assert not loop.timers(connection)
        left = weakref.ref(connection), weakref.ref(transport)
        del connection, transport
        for _ in range(1000):
            if not any(ref() for ref in left):
                break
            await asyncio.sleep(0)
        if state == "runs":
            service.device.go.set()
            await iterations()
        assert [ref() for ref in left] == [None, None]
        service.device.go.set()
        assert (await service.answer(FINE)).status == 200
        await until(lambda: not service.context.engine._waiting)
        service.context.metrics.flush()
        assert {status for _, status in requests_counted(service.context)} <= {"200", "400", "499"}
        assert service.queued == 0


@asynccontextmanager
async def listening(service: Service) -> AsyncIterator[tuple[Any, list[weakref.ref[Connection]]]]:
    """Serves on a real socket; yields its address, and the connections that are made."""
    made: list[weakref.ref[Connection]] = []

    def protocol() -> Connection:
        connection = new_connection(service.context, service.configuration)
        made.append(weakref.ref(connection))
        return connection

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    yield server.sockets[0].getsockname(), made
    server.close()


@on_both_loops
@pytest.mark.parametrize(
    "request_", [b"", FINE, application(FINE), LARGE, LINES], ids=["none", "plain", "application", "large", "lines"]
)
@pytest.mark.parametrize("resets", [False, True], ids=["closed", "reset"])
@pytest.mark.usefixtures("no_garbage_collection")
async def test_nothing_stays_of_a_real_connection_whose_client_closes_it(request_, resets):
    async with running() as service, listening(service) as (address, made):
        lost: list[bool] = []
        service.context.on_connection_lost = lambda: lost.append(True)
        service.device.go.clear()
        client = socket.create_connection(address)
        await until(lambda: made)
        for part in (request_[:150], request_[150:]):  # the rest of a large body arrives while it is waited for
            client.sendall(part)
            await iterations(20)
        if request_ not in (b"", LINES):
            await until(service.device.busy.is_set)
        if resets:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        await until(lambda: lost)
        service.device.go.set()
        await until(lambda: made[0]() is None)


EVENTS = post("/generate", b'{"prompt": "a", "max_tokens": 3, "seed": 1, "stream": true}')
SEQUENCES = {
    "plain": (FINE, 1),
    "application": (application(FINE), 1),
    "large": (LARGE, 1),
    "plain, get": (FINE + GET, 2),
    "get, application": (GET + application(FINE), 2),
    "events": (EVENTS, 1),
    "events, plain": (EVENTS + FINE, 2),
}


@on_both_loops
@pytest.mark.parametrize(("request_", "number"), SEQUENCES.values(), ids=SEQUENCES)
async def test_a_client_that_closes_its_side_after_its_requests_gets_their_answers(request_, number):
    loop = asyncio.get_running_loop()
    async with running() as service, listening(service) as (address, _):
        with socket.create_connection(address) as client:
            client.setblocking(False)
            service.device.go.clear()
            await loop.sock_sendall(client, request_)
            client.shutdown(socket.SHUT_WR)
            received = b""
            while received.count(INTERIM) < 2 and number == 1:
                received += await loop.sock_recv(client, 65536)
            service.device.go.set()
            while more := await loop.sock_recv(client, 65536):
                received += more
        finals = received.replace(INTERIM, b"")
        assert finals.startswith(b"HTTP/1.1 200 ")
        assert number > 1 or INTERIM not in received.partition(b"HTTP/1.1 200 ")[2]
        assert finals.count(b"HTTP/1.1 200 ") == number
        assert (b"event: finish" in finals) == request_.startswith(EVENTS)


async def test_a_client_that_closes_its_side_gets_no_interim_response_in_http_1_0():
    loop = running_loop()
    async with running() as service:
        await service.hold()
        connection, wire = service.send(FINE.replace(b"HTTP/1.1", b"HTTP/1.0"))
        await iterations(10)
        assert connection.eof_received()
        await loop.pass_seconds(1)
        assert not wire.written
        assert not wire.closed
        for nothing_whole in (b"", FINE[:-3], application(FINE)[:-3], GET[:-2]):
            connection, wire = service.send(nothing_whole)
            await iterations(10)
            connection.eof_received()
            assert wire.closed

"""Several acceptors at one socket, each with the slot of a process, in an event loop: real connections."""

import asyncio
import errno
import os
import re
import resource
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import uvloop

from service.errors import ConfigurationError
from service.process import acceptor as module
from service.process.acceptor import LEAVE_SECONDS, Acceptor, address_of, open_socket, waiting_connections
from service.process.board import STALE_BEATS, TICK_SECONDS, Board, Slot
from service.types import State
from tests.http.wire import no_hold
from tests.waiting import until


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Returns the event loop of the service."""
    return "asyncio", {"loop_factory": uvloop.new_event_loop}


class Connection(asyncio.Protocol):
    """A connection that counts itself out."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    def connection_lost(self, exc: Exception | None) -> None:
        self._slot.connections -= 1


class Scene:
    """Acceptors, and the connections to them."""

    def __init__(self, listening: socket.socket, processes: int) -> None:
        self.board = Board(processes)
        self.listening = listening
        self.acceptors: list[Acceptor] = []
        self.clients: list[socket.socket] = []
        for slot in self.board.slots:
            slot.state = State.READY
            slot.beat()

    def start(self, first_alone: bool = False, stopped: int = 0) -> None:
        """Starts all acceptors or the first alone, and the heartbeats of all processes but the last `stopped`."""
        self._beat(self.board.slots[: len(self.board.slots) - stopped])
        for number in range(1 if first_alone else len(self.board.slots)):
            self.add(number).start()

    def add(
        self, number: int = 0, listening: socket.socket | None = None, close_idle: Callable[[int], None] = no_hold
    ) -> Acceptor:
        """Returns an acceptor of a process."""
        slot = self.board.slots[number]
        made = Acceptor(listening or self.listening.dup(), self.board, slot, partial(Connection, slot), close_idle)
        self.acceptors.append(made)
        return made

    def connect_clients(self, count: int) -> None:
        """Connects clients, which nothing accepts yet."""
        self.clients = [socket.create_connection(self.listening.getsockname()) for _ in range(count)]

    def _beat(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            slot.beat()
        asyncio.get_running_loop().call_later(TICK_SECONDS, self._beat, slots)

    @property
    def counts(self) -> list[int]:
        return [slot.connections for slot in self.board.slots]

    async def connect(self, count: int, at_once: bool = True) -> None:
        """Connects, and waits until all are accepted."""
        for _ in range(count):
            before = sum(self.counts)
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(self.listening.getsockname())
            self.clients.append(client)
            if not at_once:
                await until(lambda: sum(self.counts) > before)  # noqa: B023 (it ends in the loop)
        await until(lambda: sum(self.counts) == len(self.clients))


@asynccontextmanager
async def scene(processes: int = 2) -> AsyncIterator[Scene]:
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listening:
        listening.setblocking(False)
        made = Scene(listening, processes)
        try:
            yield made
        finally:
            for accepts in made.acceptors:
                accepts.stop()
                accepts._listening.close()
            for client in made.clients:
                client.close()
            await until(lambda: sum(made.counts) == 0)


@pytest.fixture
def leaves(monkeypatch) -> list[Acceptor]:
    """Returns the acceptors that have left a connection to others, once for each time."""
    found: list[Acceptor] = []
    take = Acceptor._take_then_read

    def noted(self: Acceptor) -> None:
        found.append(self)
        take(self)

    monkeypatch.setattr(Acceptor, "_take_then_read", noted)
    return found


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one by one"])
@pytest.mark.parametrize(("processes", "expected"), [(2, [32, 32]), (3, [21, 21, 22])])
async def test_connections_are_spread_evenly(processes, expected, at_once):
    async with scene(processes) as here:
        here.start()
        await here.connect(64, at_once)
        assert sorted(here.counts) == expected


@pytest.mark.parametrize("state", [State.STARTING, State.DRAINING])
async def test_a_process_that_is_not_ready_takes_none_while_another_is(state):
    async with scene() as here:
        here.board.slots[0].state = state
        here.start()
        await here.connect(100)
        assert here.counts == [0, 100]


async def test_a_process_that_is_stopped_delays_connections_until_its_heartbeat_is_stale_and_no_longer(leaves):
    async with scene() as here:
        here.start(first_alone=True, stopped=1)
        await here.connect(500)
        assert here.counts == [500, 0]
    assert len(leaves) <= STALE_BEATS * TICK_SECONDS / LEAVE_SECONDS + 1


async def test_a_connection_is_left_once_to_a_process_that_does_not_take_it(leaves):
    """Its event loop runs, and takes long."""
    async with scene() as here:
        here.start(first_alone=True)
        await here.connect(20, at_once=False)
        assert here.counts == [20, 0]
    assert len(leaves) == 19, "the first one was nobody's turn"


@pytest.mark.parametrize("meanwhile", ["all stop", "it is not ready"])
async def test_a_process_does_not_take_what_it_has_left_to_another_if(meanwhile):
    async with scene() as here:
        own, other = here.board.slots
        own.connections = 1  # the other has fewer
        here.start(first_alone=True)
        here.connect_clients(1)
        acceptor = here.acceptors[0]
        await until(lambda: not acceptor._reading)
        assert not asyncio.get_running_loop().remove_reader(acceptor._listening)
        if meanwhile == "all stop":
            acceptor.stop()
            other.state = State.STOPPED
        else:
            own.state = State.STARTING
        await asyncio.sleep(2 * LEAVE_SECONDS)
        own.connections -= 1
        assert here.counts == [0, 0]


async def test_a_connection_that_cannot_be_served_is_not_counted():
    async with scene(1) as here:
        with socket.socket(type=socket.SOCK_DGRAM) as unusable:
            here.add().connect(unusable)
            await asyncio.wait(here.acceptors[0]._connecting)
            await asyncio.sleep(0)
        counts, here.board.slots[0].connections = here.counts, 0
        assert counts == [0]


async def test_connections_wait_while_no_descriptor_is_left():
    class Listening(socket.socket):
        failures = 3

        def accept(self) -> tuple[socket.socket, object]:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return super().accept()

    async with scene(1) as here:
        listening = Listening(fileno=here.listening.dup().detach())
        here.add(listening=listening).start()
        await here.connect(2)
        assert listening.failures == 0
        assert here.counts == [2]


async def test_an_iteration_of_the_event_loop_accepts_a_bounded_number(monkeypatch):
    monkeypatch.setattr(module, "MOST_AT_ONCE", 4)
    async with scene(1) as here:
        acceptor = here.add()
        here.connect_clients(10)
        for expected in (4, 8, 10):
            acceptor._readable()
            assert here.counts == [expected]
        await asyncio.sleep(0)


@pytest.mark.parametrize(("others", "taken"), [([0], 5), ([0, 0], 3), ([6], 8), ([9], 10), ([20], 10)])
async def test_an_iteration_accepts_the_share_of_those_that_wait_for_each_process(others, taken):
    """Without waiting for another process, whose event loop may be busy."""
    async with scene(1 + len(others)) as here:
        acceptor = here.add()
        for slot, number in zip(here.board.slots[1:], others, strict=True):
            slot.connections = number
        here.connect_clients(10)
        assert waiting_connections(acceptor._listening) == 10
        acceptor._readable()
        assert here.counts == [taken, *others]
        for slot in here.board.slots[1:]:
            slot.connections = 0


def test_one_connection_waits_where_the_system_does_not_say_how_many():
    with socket.socket(type=socket.SOCK_DGRAM) as listening:
        assert waiting_connections(listening) == 1


async def test_a_process_has_a_bounded_number_of_connections(monkeypatch):
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 3)
    async with scene(1) as here:
        closed: list[int] = []
        here.connect_clients(5)
        acceptor = here.add(close_idle=closed.append)
        acceptor.start()
        await until(lambda: closed)
        assert not acceptor._reading, "it looks again after a while"
        assert here.counts == [3]
        while len(here.clients) > 2:
            here.clients.pop(0).close()
        await until(lambda: here.counts == [2])


@pytest.mark.parametrize(
    ("soft", "hard", "most", "raised"),
    [
        (1024, 524_288, 4096, [(4224, 524_288)]),
        (1024, 2048, 1920, [(2048, 2048)]),
        (65_536, 65_536, 4096, []),
        (100, 100, 1, []),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 4096, []),
    ],
)
def test_the_limit_of_descriptors_is_raised_and_leaves_some_for_other_files(monkeypatch, soft, hard, most, raised):
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, both: limits.append(both))
    assert (module.most_connections(), limits) == (most, raised)


def test_an_address_of_version_6_is_one_that_clients_understand():
    try:
        listening = open_socket("::1", 0)
    except ConfigurationError as error:
        pytest.skip(str(error))
    with listening:
        assert address_of(listening) == f"http://[::1]:{listening.getsockname()[1]}"


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wanted = f"cannot listen at TAGWERK_HOST=127.0.0.1 TAGWERK_PORT={port}: Address already in use"
        with pytest.raises(ConfigurationError, match=re.escape(wanted)):
            open_socket("127.0.0.1", port)


def test_a_port_is_opened_again_while_a_connection_of_an_earlier_service_lingers():
    with open_socket("127.0.0.1", 0) as earlier:
        address = earlier.getsockname()
        with socket.create_connection(address):
            earlier.accept()[0].close()
    open_socket(*address).close()

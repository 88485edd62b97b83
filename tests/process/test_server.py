"""The server of a process: when it is ready, how it stops alone and with all others, and what it logs then."""

import asyncio
import inspect
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from service.backend.base import Backend
from service.engine.engine import Engine
from service.engine.loader import ModelLoading
from service.errors import ConfigurationError
from service.http.context import Context
from service.pipelines.catalog import Catalog, Dictionaries
from service.process import server as module
from service.process.acceptor import BACKLOG
from service.process.board import Board, ProcessStatus, ServiceStatus
from service.process.server import EXIT_FAILED, SETTLED_BEATS, Server
from service.process.server_process import BoardGroup
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey, ModelState, State
from tests.waiting import until

REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
BACKEND = SimpleNamespace(device="no device", overlaps=False)


class Scene:
    """A server without models, the first of two processes of a service."""

    def __init__(self, backend: Callable[[], object] = lambda: BACKEND, **options: Any) -> None:
        settings = Settings(processes=2, **options)
        self.board = Board(2)
        self.slot, self.other = self.board.slots
        self.slot.state = State.STARTING
        self.group = BoardGroup(self.board, self.slot, ())
        metrics = Metrics()
        loading = ModelLoading(settings, [], cast(Callable[[], Backend], backend), metrics)
        engine = Engine(settings, loading, metrics)
        self.context = Context(settings, metrics, engine, Catalog(Dictionaries(settings, metrics)), None, self.group)
        self.server = Server(self.context, self.board, self.slot)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = self.listening.getsockname()

    def other_is_ready(self) -> None:
        """Lets the other process be ready, and its event loop run, for an hour."""
        self.other.state = State.READY
        self.other.beat()
        self.other._heartbeat += 3_600_000_000_000

    def listens(self) -> bool:
        """Returns whether a connection to the socket is accepted by the system."""
        try:
            socket.create_connection(self.address, timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True

    @asynccontextmanager
    async def runs(self) -> AsyncIterator[asyncio.Task[None]]:
        """Runs the server; waits until it has stopped, after the block."""
        self.listening.setblocking(False)
        serving = asyncio.create_task(self.server.serve([self.listening]))
        await until(lambda: self.server.started)
        yield serving
        await asyncio.wait_for(serving, 60)


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """Lets no shutdown wait for what could be on its way."""
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.0)


@pytest.fixture
def here() -> Iterator[Scene]:
    made = Scene(drain_delay_seconds=0)
    yield made
    made.listening.close()


@pytest.mark.parametrize("name", ["startup", "shutdown", "on_tick", "handle_exit"])
def test_what_it_overrides_of_uvicorn_is_there_and_takes_the_same(name):
    """A new version that changes one fails here, by its name; pyproject.toml bounds the version."""
    own, base = (inspect.signature(getattr(cls, name)).parameters for cls in (Server, uvicorn.Server))
    assert [*own] == [*base]


async def test_it_is_ready_once_all_is_loaded_and_shows_that_its_event_loop_runs(here):
    async with here.runs():
        await until(lambda: here.slot.state is State.READY)
        beats = here.slot.beats
        await until(lambda: here.slot.beats > beats)
        assert here.slot.accepts
        here.server.handle_exit(signal.SIGTERM, None)
        assert here.slot.state is State.DRAINING


async def test_a_process_that_lacks_a_model_of_another_is_loaded_but_accepts_nothing_while_the_other_does(here):
    key = ModelKey("tagger", "1")
    here.board.service.write(ServiceStatus(shares=((key, 1.0),)))
    here.other.status.write(ProcessStatus(ready=(key,)))
    here.other_is_ready()

    async with here.runs():
        await until(lambda: here.slot.loaded)
        assert here.slot.state is State.STARTING
        here.other.state = State.DRAINING
        await until(lambda: here.slot.state is State.READY)
        here.other.state = State.READY
        await until(lambda: here.slot.state is State.STARTING)
        here.server.handle_exit(signal.SIGTERM, None)


def test_connections_are_given_up_once_a_process_has_had_too_many_for_a_while_and_no_more_than_it_still_has(here):
    here.other_is_ready()

    async def surpluses(*numbers: int) -> list[int]:
        seen = []
        for here.slot.connections in numbers:
            here.server._beat()
            seen.append(here.context.surplus)
        return seen

    here.slot.state = State.READY
    before = [8] * (SETTLED_BEATS - 1)
    assert not any(asyncio.run(surpluses(*before, 0, *before))), "a difference that comes and goes"
    assert asyncio.run(surpluses(8, 8, 6, 9, 0)) == [4, 4, 3, 3, 0]
    here.slot.state = State.STARTING
    assert asyncio.run(surpluses(5)) == [5], "at once: it can answer none of their requests"


def test_an_engine_that_fails_ends_the_process_with_a_status_of_its_own(here):
    async def fail() -> None:
        await until(lambda: here.slot.state is State.READY)
        here.context.engine._fail()

    start = here.server.startup

    async def startup(sockets: list[socket.socket] | None = None) -> None:
        await start(sockets)
        here.server.failing = asyncio.create_task(fail())

    here.server.startup = startup
    assert here.server.serve_until_stopped(here.listening) == EXIT_FAILED


def test_the_socket_that_processes_share_never_blocks_and_has_its_whole_backlog(monkeypatch):
    here = Scene()
    listens: list[int] = []

    class Listening(socket.socket):
        def listen(self, backlog: int = -1) -> None:
            listens.append(backlog)

    async def startup(self: Server, sockets: list[socket.socket] | None = None) -> None:
        (listening,) = sockets or []
        assert not os.get_blocking(listening.fileno()), "another process would block in `accept`"
        self.should_exit = True

    monkeypatch.setattr(Server, "startup", startup)
    with Listening(fileno=here.listening.detach()) as listening:
        assert here.server.serve_until_stopped(listening) == 0
    assert listens == [BACKLOG]


async def test_a_process_that_drains_is_not_counted_as_ready_and_logs_the_signal_once(here, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "tagwerk.server")
    here.server.server_state.tasks = {1, 2, 3}
    here.context.engine.state = State.READY
    monkeypatch.setattr(Engine, "models", lambda self: [ModelState(ModelKey("tagger", "1"), State.READY)])
    monkeypatch.setattr(Catalog, "update", lambda self, states: None)
    ready = partial(here.context.metrics.registry.get_sample_value, "tagwerk_ready_processes")

    await here.server.on_tick(1)
    here.server.handle_exit(signal.SIGTERM, None)
    interrupted = "a signal handler may have interrupted what writes a metric or the log"
    assert (ready(), caplog.messages) == (1, []), interrupted
    for number in (2, 3):
        await here.server.on_tick(number)
    assert (ready(), caplog.messages) == (0, ["SIGTERM: draining; requests in flight: 3"])


async def test_what_the_supervisor_says_is_applied_once_each_time(here, monkeypatch):
    applied: list[tuple[str, ...]] = []
    monkeypatch.setattr(Context, "update_models", lambda self: applied.append(here.board.service.read().defaults))

    for name in ("tagger", "other"):
        here.board.service.write(ServiceStatus(defaults=(name,)))
        for number in (1, 2):
            await here.server.on_tick(number)
    assert applied == [("tagger",), ("other",)]


async def test_the_file_of_keys_is_looked_at_once_a_second_and_garbage_at_each_tick(here):
    looks, idles = list[None](), list[bool]()
    here.server._full_collections = cast(Any, SimpleNamespace(run_if_due=lambda idle: idles.append(idle)))
    here.context.authenticator = cast(Any, SimpleNamespace(reload_if_changed=lambda: looks.append(None)))

    for number in range(30):
        await here.server.on_tick(number)
    assert (len(looks), idles) == (3, [True] * 30)


@pytest.mark.parametrize(
    ("retiring", "orphaned", "ready", "seconds"),
    [
        (False, False, True, 7.0),
        (False, False, False, 0.0),
        (True, False, True, 4.0),
        (False, True, True, 2.0),
        (True, True, True, 2.0),
    ],
)
def test_how_long_a_process_that_was_told_to_stop_still_accepts_requests(
    monkeypatch, retiring, orphaned, ready, seconds
):
    here = Scene(drain_delay_seconds=7.0)
    here.listening.close()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    here.context.engine.state = here.slot.state = State.READY if ready else State.STARTING
    here.slot.retiring, here.server.orphaned = retiring, orphaned
    here.server.handle_exit(signal.SIGTERM, None)
    assert here.server._stop_at == 1000.0 + seconds
    assert not here.server.force_exit
    here.server.handle_exit(signal.SIGTERM, None)
    assert here.server.force_exit, "a second signal stops at once"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes = REQUEST) -> bytes:
    """Sends a request; returns what comes until the connection is closed."""
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def stopped_with_an_open_connection(here: Scene) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connects to a server and stops it; returns the connection once its socket has closed."""
    reader, writer = await asyncio.open_connection(*here.address)
    await until(lambda: here.server.server_state.connections)
    here.server.handle_exit(signal.SIGTERM, None)
    while True:
        try:
            _, further = await asyncio.open_connection(*here.address)
        except ConnectionRefusedError:
            return reader, writer
        further.close()
        await asyncio.sleep(0)


async def test_a_connection_whose_first_request_is_late_is_answered_after_the_socket_has_closed(here, monkeypatch):
    monkeypatch.setattr(module, "FIRST_REQUEST_CHECKS", 100_000)
    async with here.runs():
        answered = (await answer(*await stopped_with_an_open_connection(here))).lower()
    assert answered.startswith(b"http/1.1 200 ")
    assert b"server: " not in answered
    assert b"connection: close" in answered
    assert here.slot.connections == 0


@pytest.mark.parametrize("checks", [0, 3])
async def test_a_connection_that_sends_nothing_does_not_keep_a_process_from_stopping(here, monkeypatch, checks):
    monkeypatch.setattr(module, "FIRST_REQUEST_CHECKS", checks)
    async with here.runs():
        connection = await stopped_with_an_open_connection(here)
    assert await answer(*connection, b"") == b""


@pytest.mark.parametrize("retiring", [True, False], ids=["replaced", "told to stop alone"])
async def test_a_process_that_stops_while_another_is_ready_leaves_the_socket_and_what_waits_to_that(here, retiring):
    """The test holds the socket as another process does."""
    with here.listening.dup() as others:
        async with here.runs():
            await until(lambda: here.slot.state is State.READY)
            here.other_is_ready()
            here.slot.retiring = retiring
            here.server.handle_exit(signal.SIGTERM, None)
            waiting = socket.create_connection(here.address)
        assert here.listens()
        others.accept()[0].close()
        clients = [socket.create_connection(here.address, timeout=5) for _ in range(20)]
        assert len(clients) == 20, "the backlog is as long as before"
        for client in (waiting, *clients):
            client.close()


async def test_a_process_that_is_replaced_answers_its_connections_and_stops_once_the_last_is_closed(here):
    with here.listening.dup():
        async with here.runs() as serving:
            await until(lambda: here.slot.state is State.READY)
            connection = await asyncio.open_connection(*here.address)
            await until(lambda: here.slot.connections)
            here.other_is_ready()
            here.slot.retiring = True
            here.server.handle_exit(signal.SIGTERM, None)
            await asyncio.sleep(0.3)
            assert not serving.done()
            answered = await answer(*connection)
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answered.lower()
    limit = here.server.config.timeout_graceful_shutdown
    assert limit is not None
    assert limit > here.context.settings.drain_timeout_seconds, "texts are cut before requests are cancelled"


async def test_connections_that_wait_in_the_backlog_when_all_processes_stop_are_answered(here):
    async with here.runs():
        await until(lambda: here.slot.state is State.READY)
        here.server._acceptor.stop()  # as if it had no time to accept it
        connection = await asyncio.open_connection(*here.address)
        here.server.handle_exit(signal.SIGTERM, None)
        assert (await answer(*connection)).startswith(b"HTTP/1.1 200 ")
    assert not here.listens()


def test_an_error_of_the_start_ends_it_and_is_raised():
    def fail() -> object:
        raise ConfigurationError("no GPU")

    here = Scene(fail)
    with here.listening, pytest.raises(ConfigurationError, match="no GPU"):
        here.server.serve_until_stopped(here.listening)
    assert here.slot.state is State.STARTING


def test_an_application_that_does_not_start_ends_the_process(monkeypatch):
    async def fails(scope: object, receive: Callable[[], Any], send: Callable[[object], Any]) -> None:
        await send({"type": "lifespan.startup.failed"})

    monkeypatch.setattr(module, "create_app", lambda context: fails)
    here = Scene()
    with here.listening, pytest.raises(SystemExit, match=str(STARTUP_FAILURE)):
        here.server.serve_until_stopped(here.listening)

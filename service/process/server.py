"""The HTTP server of a process: accepts its share of the connections, shows that it is alive, and stops in order."""

import asyncio
import contextlib
import heapq
import logging
import math
import signal
import socket
import sys
import time
from collections import deque
from operator import itemgetter
from types import FrameType
from typing import cast

import uvicorn

from service.api.app import create_app
from service.http.connection.connection import Connection
from service.http.connection.uvicorn_private import STARTUP_FAILURE
from service.http.context import Context
from service.process import memory
from service.process.acceptor import BACKLOG, Acceptor
from service.process.board import TICK_SECONDS, Board, Slot
from service.process.memory import FullCollections
from service.types import State

log = logging.getLogger("tagwerk.server")

EXIT_FAILED = 70  # EX_SOFTWARE of sysexits.h
LINGER_SECONDS = 0.2  # for connections that are being made, and requests that are on their way
FIRST_REQUEST_CHECKS = 10  # how often the shutdown looks whether each open connection has sent a request
IDLE_BYTES = 65_536  # of the requests in progress, whose objects are traversed in milliseconds
SETTLED_BEATS = 20  # heartbeats, a second, after which a difference between processes' numbers of connections will stay
# In which the answers of a process that is replaced close its connections, or in which it ends once the supervisor has
# died: half of it for requests that come, half for those in flight.
LEAVING_SECONDS = 4.0


class Server(uvicorn.Server):
    """A uvicorn server that shares its listening socket with other processes.

    The first signal makes the process not ready. It still answers, and closes each connection with its response, so
    that clients and proxies move away. Then it finishes requests in flight; generated texts that exceed the drain
    timeout are cut, with a finish reason that says so. A second signal stops at once. A process that is replaced
    leaves new connections to the others meanwhile; if the whole service stops, each accepts waiting connections.

    Attributes:
        orphaned: the supervisor has died.
    """

    def __init__(self, context: Context, board: Board, slot: Slot) -> None:
        settings = context.settings
        self._context = context
        self._board = board
        self._slot = slot
        self._service_sequence = -1
        self._stop_at = math.inf
        self._unlogged_signal: signal.Signals | None = None
        self._full_collections = FullCollections()
        self._surpluses = deque([0] * SETTLED_BEATS, SETTLED_BEATS)  # at the last heartbeats
        self._acceptor: Acceptor
        self.orphaned = False
        context.on_connection_lost = self._connection_lost
        super().__init__(
            uvicorn.Config(
                create_app(context),
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=settings.keep_alive_seconds,
                proxy_headers=False,  # client addresses and schemes are not used
            )
        )

    def serve_until_stopped(self, listening: socket.socket) -> int:
        """Returns the exit status. Raises the error that kept the engine from starting."""
        # Processes share this flag. `dup` would clear it for a moment, in which another could block in `accept`.
        listening.setblocking(False)
        listening.listen(BACKLOG)  # as before, if a process that stopped alone has shrunk it
        self.run([listening])
        if self._context.failure is not None:
            raise self._context.failure
        log.info("stopped")
        return EXIT_FAILED if self._context.engine.failed.is_set() else 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Starts the shutdown. Unlike the base class, does not raise the signal again, so the exit status is 0."""
        self.force_exit = self._context.draining
        if not self._context.draining:
            self._context.draining = True
            self._unlogged_signal = signal.Signals(sig)
            serves = self._context.engine.state is State.READY and self._slot.state is State.READY
            self._slot.state = State.DRAINING
            settings = self._context.settings
            delay = LEAVING_SECONDS if self._slot.retiring else settings.drain_delay_seconds
            if self.orphaned:
                delay = min(delay, LEAVING_SECONDS / 2)
            self._stop_at = time.monotonic() + (delay if serves else 0)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the application, then accepts connections, whether the models are loaded or not."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        self.servers = []
        (listening,) = sockets or []
        self._acceptor = Acceptor(listening, self._board, self._slot, self._make_protocol, self._close_idle)
        self._acceptor.start()
        self._beat()
        self.started = True

    def _beat(self) -> None:
        self._slot.beat()
        self._surpluses.append(self._board.surplus(self._slot))
        # While many clients connect, the numbers differ for moments. A client whose connection is closed then would
        # wait behind all of them for another.
        self._context.surplus = min(self._surpluses) if self._slot.ready else self._surpluses[-1]
        asyncio.get_running_loop().call_later(TICK_SECONDS, self._beat)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting connections, then drains.

        The base class closes connections without a request in progress, also those just accepted whose request is on
        its way. So, if no other process accepts connections: shrink the kernel's backlog, accept what is in it, close
        the socket, and wait for the first requests of connections. Each response closes its connection.
        """
        timeout = LEAVING_SECONDS / 2 if self.orphaned else self._context.settings.drain_timeout_seconds
        log.info("stopped accepting connections; requests in flight: %d, for at most %g s", self._in_flight, timeout)
        # In whole seconds: what is left of the last one is for the ends of texts that are cut.
        self.config.timeout_graceful_shutdown = int(timeout) + 1
        asyncio.get_running_loop().call_later(timeout, self._context.engine.cut_texts)
        self._acceptor.stop()
        (listening,) = sockets or []
        if self._slot.retiring or self._board.fewest_connections() is not None:
            listening.close()
        else:
            listening.listen(0)
            await asyncio.sleep(LINGER_SECONDS)
            for connection in close_when_empty(listening):
                self._acceptor.connect(connection)
        await asyncio.sleep(LINGER_SECONDS)
        await self._wait_for_first_requests()
        await super().shutdown(sockets)

    async def _wait_for_first_requests(self) -> None:
        """Waits until each open connection has sent a request, for about two seconds at most.

        It counts its own checks, not seconds: while a busy machine runs neither clients nor this process, no time
        passes.
        """
        for _ in range(FIRST_REQUEST_CHECKS):
            if all(connection.answered for connection in self._connections):
                return
            await asyncio.sleep(LINGER_SECONDS)

    @property
    def _connections(self) -> set[Connection]:
        return cast(set[Connection], self.server_state.connections)

    @property
    def _in_flight(self) -> int:
        return len(self.server_state.tasks) + sum(connection.in_exchange for connection in self._connections)

    def _connection_lost(self) -> None:
        self._slot.connections -= 1

    def _close_idle(self, count: int) -> None:
        """Closes the connections without a request in progress that have been so for the longest."""
        idle = [(since, one) for one in self._connections if (since := one.idle_since()) is not None]
        for _, connection in heapq.nsmallest(count, idle, key=itemgetter(0)):
            connection.transport.abort()

    def _make_protocol(self) -> asyncio.Protocol:
        state = self.lifespan.state
        return Connection(self._context, config=self.config, server_state=self.server_state, app_state=state)

    async def on_tick(self, counter: int) -> bool:
        """Does the periodic work of the process, ten times a second; returns whether to stop."""
        if (sequence := self._board.service.sequence) != self._service_sequence:  # the supervisor has written
            self._service_sequence = sequence
            self._context.update_models()
        self._note_loaded()
        self._context.metrics.connections.set(self._slot.connections)
        if counter % 10 == 0:  # once a second
            self._context.client_memory.check()
            if self._context.authenticator is not None:
                self._context.authenticator.reload_if_changed()
        self._full_collections.run_if_due(idle=self._context.bytes_in_progress < IDLE_BYTES)
        if self._context.draining:
            # Neither in the signal handler: a metric's lock may be held there, or a line of the log be half written.
            self._context.note_readiness()
            if self._unlogged_signal is not None:
                log.info("%s: draining; requests in flight: %d", self._unlogged_signal.name, self._in_flight)
                self._unlogged_signal = None
        failed = self._context.failure is not None or self._context.engine.failed.is_set()
        retired = self._context.draining and self._slot.retiring and not self.server_state.connections
        stop = time.monotonic() >= self._stop_at or self.force_exit or failed or retired
        return stop or await super().on_tick(counter)

    def _note_loaded(self) -> None:
        """Shows that all models of the process are loaded, and that it is ready, while it lacks no model of others."""
        if self._context.loaded and not self._slot.loaded and self._context.failure is None:
            memory.tune()
            memory.return_free_memory()
            self._context.update_models()
            self._slot.loaded = True
        if self._slot.loaded and self._slot.state in (State.STARTING, State.READY):
            self._slot.state = State.STARTING if self._board.lacks_model(self._slot) else State.READY


def close_when_empty(listening: socket.socket) -> list[socket.socket]:
    """Accepts all connections in a listening socket's backlog, closes the socket, and returns them."""
    listening.setblocking(False)
    waiting = []
    with contextlib.suppress(OSError):  # none waits, or no descriptors are left
        while True:
            waiting.append(listening.accept()[0])
    listening.close()
    return waiting

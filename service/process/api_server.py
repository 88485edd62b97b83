"""The HTTP server of a process, with graceful shutdown."""

import asyncio
import contextlib
import logging
import math
import signal
import socket
import time
from functools import partial
from types import FrameType
from typing import cast

import uvicorn

from service.http.app import create_app
from service.http.connection.connection import Connection
from service.http.context import Context
from service.process.garbage_collection import FullCollections
from service.types import State

log = logging.getLogger("tagwerk.api")

ACCEPTS = 16  # connections in a turn of the event loop
LINGER_SECONDS = 0.2  # for connections that are being made, and requests that are on their way
FIRST_REQUEST_CHECKS = 100  # how often the shutdown looks whether each open connection has sent a request
CHECK_SECONDS = 0.02
CUT_SECONDS = 1.0  # to send the ends of generated texts that are cut


class Server(uvicorn.Server):
    """A uvicorn server with graceful shutdown.

    The first signal makes the service not ready. It still answers, and closes each connection with its response, so
    that clients and proxies move away before the listening socket closes. Then it finishes requests in flight;
    generated texts that exceed the drain timeout are cut, with a finish reason that says so. A second signal stops at
    once.
    """

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._context = context
        self._stop_at = math.inf
        self._unlogged_signal: signal.Signals | None = None
        self._full_collections = FullCollections()
        super().__init__(
            uvicorn.Config(
                create_app(context),
                http=partial(Connection, context),  # type: ignore[arg-type]
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=settings.keep_alive_seconds,
                proxy_headers=False,  # client addresses and schemes are not used
                timeout_graceful_shutdown=math.ceil(settings.drain_timeout_seconds + CUT_SECONDS),
            )
        )

    def serve_until_stopped(self, listening: socket.socket) -> int:
        """Returns the exit status. Raises the error that kept the engine from starting."""
        # Workers share this flag. `dup` would clear it for a moment, in which another worker could block in `accept`.
        listening.setblocking(False)
        self.run([listening])
        if self._context.failure is not None:
            raise self._context.failure
        log.info("stopped")
        return 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Starts the shutdown. Unlike the base class, does not raise the signal again, so the exit status is 0."""
        self.force_exit = self._context.draining
        if not self._context.draining:
            self._context.draining = True
            self._unlogged_signal = signal.Signals(sig)
            delay = self._context.settings.drain_delay_seconds
            self._stop_at = time.monotonic() + (delay if self._context.engine.state() is State.READY else 0)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Registers each listening socket several times.

        libuv accepts one connection per listener in an iteration of the event loop (libuv#3696). Iterations take
        long under load, and connections would queue up.
        """
        further = [listening.dup() for listening in sockets or [] for _ in range(ACCEPTS - 1)]
        await super().startup(sockets and [*sockets, *further])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting connections, then drains.

        The base class closes connections without a request in progress, also those just accepted whose request is on
        its way. So: shrink the kernel's backlog, accept what is in it, close the sockets, and wait for the first
        requests of connections. Each response closes its connection.
        """
        timeout = self._context.settings.drain_timeout_seconds
        log.info("stopped accepting connections; requests in flight: %d, for at most %g s", self._in_flight, timeout)
        asyncio.get_running_loop().call_later(timeout, self._context.engine.cut_texts)
        sockets = [listening.dup() for listening in sockets or []]
        for listening in sockets:
            listening.listen(0)
        await asyncio.sleep(LINGER_SECONDS)
        for server in self.servers:
            server.close()
        late = [connection for listening in sockets for connection in close_when_empty(listening)]
        for connection in late:
            await asyncio.get_running_loop().connect_accepted_socket(self._make_protocol, connection)
        await asyncio.sleep(LINGER_SECONDS)
        await self._wait_for_first_requests()
        await super().shutdown(sockets)

    async def _wait_for_first_requests(self) -> None:
        """Waits until each open connection has sent a request, for about two seconds at most.

        It counts its own checks, not seconds: while a busy machine runs neither clients nor this process, no time
        passes.
        """
        connections = cast(set[Connection], self.server_state.connections)
        for _ in range(FIRST_REQUEST_CHECKS):
            if all(connection.cycle is not None for connection in connections):
                return
            await asyncio.sleep(CHECK_SECONDS)

    @property
    def _in_flight(self) -> int:
        return len(self.server_state.tasks)

    def _make_protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def on_tick(self, counter: int) -> bool:
        """Returns, ten times a second, whether to stop; runs due garbage collections."""
        self._full_collections.run_if_due(idle=not self._context.long_work.locked())
        if self._context.draining:
            # Neither in the signal handler: a metric's lock may be held there, or a line of the log be half written.
            self._context.note_readiness()
            if self._unlogged_signal is not None:
                log.info("%s: draining; requests in flight: %d", self._unlogged_signal.name, self._in_flight)
                self._unlogged_signal = None
        stop = time.monotonic() >= self._stop_at or self.force_exit or self._context.failure is not None
        return stop or await super().on_tick(counter)


def close_when_empty(listening: socket.socket) -> list[socket.socket]:
    """Accepts all connections in a listening socket's backlog, closes the socket, and returns them."""
    listening.setblocking(False)
    waiting = []
    with contextlib.suppress(BlockingIOError):
        while True:
            waiting.append(listening.accept()[0])
    listening.close()
    return waiting

"""The HTTP server of a process, and its orderly end."""

import asyncio
import contextlib
import math
import socket
import time
from functools import partial
from types import FrameType

import uvicorn

from service.http.app import create_app
from service.http.connection.connection import Connection
from service.http.context import Context
from service.process.garbage_collection import FullSearches
from service.types import State

ACCEPTS = 16  # connections in a turn of the event loop
LINGER_SECONDS = 0.2  # for a request to arrive on a connection that is open
CUT_SECONDS = 1.0  # for texts that are cut, to be sent with their ends


class Server(uvicorn.Server):
    """uvicorn with an orderly end.

    At the first signal the service says that it is not ready, but still answers, and closes each connection with its
    answer, so that clients and proxies move away before the socket closes. Then it finishes what is in flight; texts
    that take longer than it may are cut, and say so. A second signal stops at once.
    """

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._context = context
        self._stop_at = math.inf
        self._full_searches = FullSearches()
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
                proxy_headers=False,  # whose name and scheme a client has makes no difference
                timeout_graceful_shutdown=math.ceil(settings.drain_timeout_seconds + CUT_SECONDS),
            )
        )

    def serve_until_stopped(self, listening: socket.socket) -> int:
        """Returns the exit status. Raises the error that kept the engine from starting."""
        self.run([listening])
        if self._context.failure is not None:
            raise self._context.failure
        return 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Notes a signal. The base class would raise it again at the end, and the exit status would not be 0."""
        self.force_exit = self._context.draining
        if not self._context.draining:
            self._context.draining = True
            delay = self._context.settings.drain_delay_seconds
            self._stop_at = time.monotonic() + (delay if self._context.engine.state() is State.READY else 0)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens at each socket several times over.

        libuv accepts one connection for each listener in a turn of the event loop (libuv#3696). Under load a turn takes
        long, and those who come would wait for one after the other.
        """
        further = [listening.dup() for listening in sockets or [] for _ in range(ACCEPTS - 1)]
        await super().startup(sockets and [*sockets, *further])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the door before it shows anyone out.

        The base class closes connections that have no request in hand, among them those just accepted, whose request
        is on its way. So: let hardly anyone into the kernel's queue, accept who is in it, close the socket when it is
        empty, and give those who came time to ask. Their answers close their connections.
        """
        patience = self._context.settings.drain_timeout_seconds
        asyncio.get_running_loop().call_later(patience, self._context.engine.cut_texts)
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
        await super().shutdown(sockets)

    def _make_protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def on_tick(self, counter: int) -> bool:
        """Says, ten times a second, whether to stop; searches for garbage now and then."""
        self._full_searches.search(idle=not self._context.long_work.locked())
        if self._context.draining:
            self._context.note_readiness()  # not on the signal, which may come while a metric's lock is held
        stop = time.monotonic() >= self._stop_at or self.force_exit or self._context.failure is not None
        return stop or await super().on_tick(counter)


def close_when_empty(listening: socket.socket) -> list[socket.socket]:
    """Closes a listening socket at a moment when nobody is in its queue; returns those who were."""
    listening.setblocking(False)
    waiting = []
    with contextlib.suppress(BlockingIOError):
        while True:
            waiting.append(listening.accept()[0])
    listening.close()
    return waiting

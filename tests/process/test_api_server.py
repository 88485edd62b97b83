"""How a worker listens, and what it logs when it is stopped."""

import asyncio
import logging
import os
import signal
import socket

import uvicorn

from service.process.api_server import Server
from tests.http.scene import made_context


def test_a_signal_is_logged_once_with_the_requests_in_flight(caplog):
    async def ticks() -> None:
        server = Server(made_context(drain_delay_seconds=60))
        server.server_state.tasks = {1, 2, 3}  # type: ignore[arg-type]
        await server.on_tick(1)
        server.handle_exit(signal.SIGTERM, None)
        assert caplog.messages == [], "a signal handler may have interrupted the log"
        await server.on_tick(1)
        await server.on_tick(1)

    with caplog.at_level(logging.INFO, "tagwerk.api"):
        asyncio.run(ticks())
    assert caplog.messages == ["SIGTERM: draining; requests in flight: 3"]


def test_the_socket_that_workers_share_never_blocks(monkeypatch):
    blocking: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(made_context())

        async def startup(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
            for one in sockets or []:
                blocking.append(os.get_blocking(one.fileno()))
                if one is not listening:
                    one.close()
            self.should_exit = True

        monkeypatch.setattr(uvicorn.Server, "startup", startup)
        server.serve_until_stopped(listening)
    assert len(blocking) > 2
    assert not any(blocking), "another worker would block in `accept` until somebody connects"

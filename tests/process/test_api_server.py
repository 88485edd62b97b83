"""How a worker listens, what it logs when it is stopped, and which connections it still answers then."""

import asyncio
import logging
import os
import signal
import socket

import pytest
import uvicorn

from service.process import api_server
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


async def stopped_with_an_open_connection(
    server: Server, listening: socket.socket
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, asyncio.Task[None]]:
    """Connects to a server and stops it; returns the connection and the server's task once its socket has closed."""
    address = listening.getsockname()
    serving = asyncio.create_task(server.serve([listening]))
    reader, writer = await asyncio.open_connection(*address)
    while not server.server_state.connections:
        await asyncio.sleep(0)
    server.handle_exit(signal.SIGTERM, None)
    while True:
        try:
            _, further = await asyncio.open_connection(*address)
        except OSError:
            return reader, writer, serving
        further.close()
        await asyncio.sleep(0)


def test_a_connection_whose_first_request_is_late_is_answered_after_the_socket_has_closed(monkeypatch):
    async def scenario() -> bytes:
        server, listening = Server(made_context(drain_delay_seconds=0)), socket.create_server(("127.0.0.1", 0))
        reader, writer, serving = await stopped_with_an_open_connection(server, listening)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await serving
        return answer

    monkeypatch.setattr(api_server, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(api_server, "FIRST_REQUEST_CHECKS", 100_000)
    answer = asyncio.run(scenario())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("checks", [0, 3])
def test_a_connection_that_sends_nothing_does_not_keep_a_worker_from_stopping(monkeypatch, checks):
    async def scenario() -> bytes:
        server, listening = Server(made_context(drain_delay_seconds=0)), socket.create_server(("127.0.0.1", 0))
        reader, writer, serving = await stopped_with_an_open_connection(server, listening)
        await serving
        answer = await reader.read()
        writer.close()
        return answer

    monkeypatch.setattr(api_server, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(api_server, "FIRST_REQUEST_CHECKS", checks)
    assert asyncio.run(scenario()) == b""

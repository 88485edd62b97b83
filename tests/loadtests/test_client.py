"""The load client against a server that is slower than its load."""

import asyncio
from contextlib import asynccontextmanager
from itertools import cycle, islice

import pytest

from loadtests.client import ClosedLoop, OpenLoop, measure
from loadtests.connection import Connection, encode
from loadtests.traffic import Request

ANSWER = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}"
REQUEST = encode("127.0.0.1", "", Request("tag", {"text": "Hello."}))
DELAY = 0.02


@asynccontextmanager
async def slow_server(status: int = 200):
    """Answers each request after a delay; yields its port and the list of requests that it got."""
    got = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(len(REQUEST.content)):
            got.append(content)
            await asyncio.sleep(DELAY)
            writer.write(ANSWER % status)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], got


async def run(make_load, clients: int, status: int = 200):
    async with slow_server(status) as (port, got):
        return await measure("127.0.0.1", port, clients, make_load), got


async def test_open_loop_latencies_count_from_the_moment_at_which_a_request_was_due():
    """Two connections answer 100 requests a second; 500 a second fall due, so the last ones wait for those before."""
    measured, got = await run(lambda: OpenLoop(cycle([REQUEST]), 0.3, 500), clients=2)
    assert len(got) > 75
    assert measured.errors == 0
    assert measured.p99_ms > 10 * DELAY * 1000, "the time in which requests could not be sent was left out"


async def test_bursts_fall_due_at_once_and_leave_the_rate_as_it_is():
    """Ten at once over ten connections that take 20 ms each do not wait; over one, the last waits for nine others."""
    wide, got = await run(lambda: OpenLoop(cycle([REQUEST]), 0.5, 200, burst=10), clients=100)
    assert len(got) % 10 == 0
    assert wide.errors == 0
    narrow, _ = await run(lambda: OpenLoop(cycle([REQUEST]), 0.2, 50, burst=10), clients=1)
    assert narrow.p99_ms >= 9 * DELAY * 1000


async def test_a_connection_that_is_closed_while_idle_is_no_error():
    class Wire(asyncio.Transport):
        def write(self, data):
            pass

        def close(self):
            pass

    load, errors = OpenLoop(cycle([REQUEST]), 1e9, 0.001), []
    busy, idle = (Connection("127.0.0.1", 1) for _ in range(2))  # where nothing listens
    for connection in (busy, idle):  # one request is due at the beginning, for the first of them
        connection.connection_made(Wire())
        connection.start(load)
    for connection in (idle, busy):
        connection.connection_lost(None)
        errors.append(load.measurement().errors)
        await connection.finished
    assert errors == [0, 1]


async def test_a_connection_that_the_server_closes_is_opened_again():
    """Every second answer says that it is the last one; every tenth request is answered by closing the connection."""
    connected = requests = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected, requests
        connected += 1
        while await reader.read(len(REQUEST.content)):
            requests += 1
            if requests % 10 == 0:
                break
            last = requests % 2 == 0
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n" + b"Connection: close\r\n" * last + b"\r\n{}")
            if last:
                break
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        measured = await measure("127.0.0.1", port, 1, lambda: ClosedLoop(islice(cycle([REQUEST]), 20), 60))
    assert (requests, connected, measured.errors) == (20, 11, 2)


@pytest.mark.parametrize(("status", "refused"), [(503, 0), (429, 5)])
async def test_other_statuses_are_errors(status, refused):
    measured, _ = await run(lambda: ClosedLoop(iter([REQUEST] * 5), 60), clients=2, status=status)
    assert (measured.errors, measured.refused) == (5, refused)

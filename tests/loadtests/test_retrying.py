"""The clients that send again at once, against a server that closes connections."""

import asyncio
from contextlib import asynccontextmanager

from loadtests.chaos.request_counts import RequestCounts
from loadtests.chaos.retrying import CLIENTS, RetryingClients

ANSWER = b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def server(breaks: bool):
    """Answers each request, but for the first of all connections, where it is to break these; yields its port."""
    broken: set[int] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("peername")[1]
        while await reader.read(65_536):
            if breaks and len(broken) < CLIENTS:
                broken.add(port)
                break
            await asyncio.sleep(0.01)
            writer.write(ANSWER)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1], broken


def test_a_connection_that_breaks_is_named_by_its_port_and_its_client_goes_on():
    async def scenario() -> RequestCounts:
        counts = RequestCounts()
        async with server(breaks=True) as (port, broken), RetryingClients(port, counts) as clients:
            while counts.statuses()[200] < CLIENTS:
                await asyncio.sleep(0.01)
        assert {port for port, _ in clients.broken} == broken
        return counts

    counts = asyncio.run(scenario())
    assert counts.lost == CLIENTS
    assert counts.faults({200}, CLIENTS, 60) == []

"""The connection that sends bytes as they are, against a server with given answers."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from loadtests.wire import Exchange, exchange

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def ask(answer: bytes, pieces: Iterable[bytes] = (b"hello",), answers: int = 1, closes: bool = False) -> Exchange:
    async def scenario() -> Exchange:
        ended = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(answer)
            await writer.drain()
            if not closes:
                await reader.read()  # until the client closes
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            ended.set()

        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            seen = await exchange(port, pieces, answers, seconds=60 if closes or answer else 0.01)
            await ended.wait()
            return seen

    return asyncio.run(scenario())


def test_it_ends_with_the_answers_that_are_expected():
    seen = ask(OK + OK.replace(b"200", b"404") + OK, answers=2)
    assert seen.statuses[:2] == [200, 404]
    assert seen.complete >= 2
    assert not seen.closed


def test_it_ends_where_the_service_closes_or_is_silent():
    assert ask(b"", closes=True) == Exchange(closed=True)
    assert ask(b"") == Exchange()


def test_it_reads_an_answer_that_came_before_everything_was_sent():
    refused = OK.replace(b"200", b"413")
    assert ask(refused, [b"x" * 65_536] * 1000, closes=True).statuses == [413]

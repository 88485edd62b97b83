"""A connection that sends bytes as they are, well-formed or not, and reads the statuses of the answers."""

import asyncio
import contextlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

import httptools

READ_BYTES = 1 << 16


@dataclass(slots=True)
class Exchange:
    """What came back on a connection."""

    statuses: list[int] = field(default_factory=list)  # of the answers, 1xx left out
    complete: int = 0  # answers that came whole
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)  # of all answers, names in lower case
    closed: bool = False  # the service closed the connection
    says_close: bool = False  # the last answer has "Connection: close"
    malformed: str = ""  # why what came back is not HTTP
    received: int = 0  # bytes


class Reader:
    """Parses the answers that come on a connection into an `Exchange`."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, content: bytes) -> None:
        """Takes bytes that the service sent."""
        self.exchange.received += len(content)
        try:
            self._parser.feed_data(content)
        except httptools.HttpParserUpgrade:
            self.exchange.closed = True  # what follows is no HTTP
        except httptools.HttpParserError as error:
            self.exchange.malformed = f"{error}: …{content[-200:]!r}"

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.exchange.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if (status := self._parser.get_status_code()) >= 200:
            self.exchange.statuses.append(status)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.exchange.says_close = not self._parser.should_keep_alive()
        self.exchange.complete += self._parser.get_status_code() >= 200


class Wire:
    """A connection. It reads what has come also where the service closed it while bytes were being sent.

    asyncio's streams lose that: they drop what has arrived once they cannot write.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self._reader = Reader()

    async def __aenter__(self) -> "Wire":
        await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", self._port))
        return self

    async def __aexit__(self, *error: object) -> None:
        self.socket.close()

    async def send(self, content: bytes) -> bool:
        """Sends bytes; returns whether the service still takes them."""
        try:
            await asyncio.get_running_loop().sock_sendall(self.socket, content)
        except ConnectionError:
            return False
        return True

    async def receive(self, answers: int, seconds: float) -> Exchange:
        """Reads until there are as many answers in all, the connection is closed, or the time is up."""
        loop, seen = asyncio.get_running_loop(), self._reader.exchange
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while seen.complete < answers and not seen.closed and not seen.malformed:
                    try:
                        content = await loop.sock_recv(self.socket, READ_BYTES)
                    except ConnectionError:
                        content = b""
                    if content:
                        self._reader.feed(content)
                    else:
                        seen.closed = True
        return seen


async def exchange(port: int, pieces: Iterable[bytes], answers: int = 1, *, seconds: float) -> Exchange:
    """Sends the pieces one after the other while it reads the answers; returns what came back.

    It ends when as many answers as are expected are there, when the service closes the connection, when what comes is
    not HTTP, or after so many seconds.
    """

    async def send() -> None:
        for piece in pieces:
            if not await wire.send(piece):
                break
            await asyncio.sleep(0)

    async with Wire(port) as wire:
        sending = asyncio.create_task(send())
        try:
            return await wire.receive(answers, seconds)
        finally:
            sending.cancel()
            await asyncio.wait([sending])

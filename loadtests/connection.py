"""A connection of the load client: one request at a time, whose latency is reported to the load."""

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple, Protocol, cast

import httptools

from loadtests.text import WORD, rare_words, spelling, stem
from loadtests.traffic import Request


class Encoded(NamedTuple):
    """A request as it goes over the wire; `rare` are the parts of it that are spelled anew each time."""

    content: bytes
    timed: bool
    rare: tuple[slice, ...] = ()

    def respelled(self, letters: bytes) -> "Encoded":
        """Returns the request in another spelling, see `loadtests.text.spelling`."""
        if not self.rare:
            return self
        content = bytearray(self.content)
        for part in self.rare:
            content[part] = content[part].translate(letters)
        return self._replace(content=bytes(content))


def encode(host: str, prefix: str, request: Request, key: str | None = None) -> Encoded:
    """Returns a request to `http://{host}/{prefix}{endpoint}`, with an API key where one is given, ready to be sent."""
    body = json.dumps(request.body)
    head = [
        f"POST /{prefix}{request.endpoint} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {key}"] if key is not None else []),
    ]
    before = "\r\n".join([*head, "", ""])
    found = (match for match in WORD.finditer(body) if match.group() in rare_words())
    rare = tuple(stem(len(before) + match.start(), len(before) + match.end()) for match in found)
    return Encoded((before + body).encode("ascii"), request.timed, rare)


def repeated(requests: Sequence[Encoded], chance: random.Random) -> Iterator[Encoded]:
    """Yields the requests over and over, from a random one on, their rare words spelled anew each time."""
    begin = chance.randrange(len(requests))
    while True:
        letters = spelling(chance)
        for request in chain(requests[begin:], requests[:begin]):
            yield request.respelled(letters)


class Load(Protocol):
    """Chooses the requests of connections, and receives their outcomes."""

    def free(self, connection: "Connection") -> None:
        """Called when a connection can take a request; sends one now or later, or closes it."""

    def answered(self, request: Encoded, status: int, seconds: float, now: float) -> None:
        """Called with an answer, and its seconds since the moment at which its request was due."""

    def lost(self, connection: "Connection") -> None:
        """Called when a connection was lost, and its request with it."""

    def left(self, connection: "Connection") -> None:
        """Called when the server has closed an idle connection."""


class Connection(asyncio.Protocol):
    """A connection to a server, which is opened again where the server closes it.

    Attributes:
        finished: done when the load closes it, or when the server no longer accepts connections.
        local_port: the client's port.
    """

    def __init__(self, host: str, port: int) -> None:
        self.finished = asyncio.get_running_loop().create_future()
        self.local_port = 0
        self._address = host, port
        self._load: Load | None = None
        self._parser: httptools.HttpResponseParser
        self._transport: asyncio.Transport
        self._sent: tuple[Encoded, float] | None = None
        self._answered_last = False  # the server closes the connection after its last answer
        self._opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connects. Raises OSError."""
        await asyncio.get_running_loop().create_connection(lambda: self, *self._address)

    def start(self, load: Load) -> None:
        """Attaches the connection to a load, which gives it its requests."""
        self._load = load
        load.free(self)

    def send(self, request: Encoded, due: float) -> None:
        """Sends a request that was due at that moment of the performance counter."""
        self._sent = request, due
        self._transport.write(request.content)

    def close(self) -> None:
        """Closes it: there is nothing more to send."""
        if not self.finished.done():
            self.finished.set_result(None)
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # as connections over TCP are
        self._parser = httptools.HttpResponseParser(self)
        self.local_port = transport.get_extra_info("sockname", (None, 0))[1]

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_complete(self) -> None:
        """Called by the parser when an answer is complete."""
        now = time.perf_counter()
        assert self._load is not None  # noqa: S101 (no answer comes before the first request)
        assert self._sent is not None  # noqa: S101
        (request, due), self._sent = self._sent, None
        self._load.answered(request, self._parser.get_status_code(), now - due, now)
        if self._parser.should_keep_alive():
            self._load.free(self)
        else:
            self._answered_last = True
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.finished.done():
            return
        if self._load is None:
            self.finished.set_result(None)
            return
        if self._sent is not None:
            self._sent = None
            self._load.lost(self)
        elif not self._answered_last:
            self._load.left(self)
        self._answered_last = False
        self._opening = asyncio.get_running_loop().create_task(self._open_again(self._load))

    async def _open_again(self, load: Load) -> None:
        try:
            await self.open()
        except OSError:
            self.close()
            return
        if self.finished.done():
            self._transport.close()
        else:
            load.free(self)

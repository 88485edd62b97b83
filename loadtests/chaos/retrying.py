"""Clients that send again at once whatever happens, and know which process answers each of their connections."""

import asyncio
import random
import time
from collections.abc import Iterator
from functools import cache

from loadtests.chaos.clients import BOUND_SECONDS
from loadtests.chaos.request_counts import RequestCounts
from loadtests.connection import Connection, Encoded, encode, repeated
from loadtests.traffic import texts

CLIENTS = 64
PATH = "/tag"


class RetryingClients:
    """Clients with a connection each, inside an `async with` block; their requests are counted.

    Attributes:
        broken: the client's port of each connection that ended with a request under way, and the moment.
        slowest: the longest time to an answer, in seconds.
    """

    def __init__(self, port: int, counts: RequestCounts) -> None:
        self.broken: list[tuple[int, float]] = []
        self.slowest = 0.0
        self._port = port
        self._counts = counts
        self._requests = _requests()
        self._stopping = False
        self._connections: list[Connection] = []

    async def __aenter__(self) -> "RetryingClients":
        self._connections = [Connection("127.0.0.1", self._port) for _ in range(CLIENTS)]
        for connection in self._connections:
            await connection.open()
        for connection in self._connections:
            connection.start(self)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.end(stop=True)

    async def end(self, *, stop: bool = False) -> None:
        """Waits until no client is left: where they are to stop, or the service no longer accepts connections."""
        self._stopping |= stop
        _, hung = await asyncio.wait([one.finished for one in self._connections], timeout=BOUND_SECONDS)
        self._counts.hung += len(hung)
        for connection in self._connections:
            connection.close()

    def free(self, connection: Connection) -> None:
        """Sends the next request."""
        if self._stopping:
            connection.close()
            return
        self._counts.sent += 1
        connection.send(next(self._requests), due=time.perf_counter())

    def answered(self, request: Encoded, status: int, seconds: float, now: float) -> None:
        """Counts an answer."""
        self._counts.answered(PATH, status, seconds)
        self.slowest = max(self.slowest, seconds)

    def lost(self, connection: Connection) -> None:
        """Counts a request without an answer."""
        self._counts.lost += 1
        self.broken.append((connection.local_port, time.monotonic()))

    def left(self, connection: Connection) -> None:
        """Does nothing: no request was under way."""


@cache
def _encoded() -> list[Encoded]:
    return [encode("127.0.0.1", "", request) for request in texts("tag")]


def _requests() -> Iterator[Encoded]:
    return repeated(_encoded(), random.Random())

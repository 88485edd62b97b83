"""Sends requests on both ways, as plain ones and through the application, and compares what is answered."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.app import create_app
from service.http.connection.connection import Connection
from service.http.context import Context
from service.security.keys import Authenticator
from tests.http.scene import SequenceModelDevice, lifespan, made_context
from tests.http.wire import Header, Wire, application, configuration, connect, first_answer, post
from tests.waiting import until

DURATION = re.compile(r"dur=[\d.]+")
BATCH = re.compile(r"batch of \d+")  # how sequences are cut into batches depends on the times of steps


class Answer(NamedTuple):
    """A response as it came over the connection, without what differs between two that are equal.

    Attributes:
        headers: in order; without the date, a generated request id, durations, and the size of the batch.
        closes: whether the connection was closed with it.
    """

    status: int
    headers: list[Header]
    body: bytes
    closes: bool

    def header(self, name: str) -> str | None:
        """Returns the value of a header; None if there is none."""
        return dict(self.headers).get(name)


def comparable(headers: Sequence[Header]) -> list[Header]:
    """Returns headers without what may differ between two answers to the same request."""
    found: list[Header] = []
    for name, value in headers:
        if name == "server-timing":
            found.append((name, BATCH.sub("batch", DURATION.sub("dur=", value))))
        elif name == "x-request-id" and re.fullmatch("[0-9a-f]{32}", value):
            found.append((name, "generated"))
        elif name != "date":
            found.append((name, value))
    return found


def answers(wire: Wire) -> list[Answer]:
    """Returns the whole responses that were written."""
    found: list[Answer] = []
    data = b"".join(wire.written)
    while (one := first_answer(data)) is not None:
        status, headers, body, data = one
        found.append(Answer(status, comparable(headers), body, not data and wire.closed))
    return found


class Service:
    """An application that is started.

    Attributes:
        through_application: requests that the application handled.
        sent: the connections over which requests were sent.
    """

    def __init__(self, context: Context, device: SequenceModelDevice) -> None:
        self.context = context
        self.device = device
        self.through_application = 0
        self.sent: list[Connection] = []
        app = create_app(context)

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            self.through_application += scope["type"] == "http"
            await app(scope, receive, send)

        self.app: ASGIApp = counted
        self.configuration = configuration(counted)

    def send(self, *pieces: bytes) -> tuple[Connection, Wire]:
        """Sends pieces over a new connection; returns it and its wire."""
        connection, wire = connect(self.context, config=self.configuration)
        self.sent.append(connection)
        for piece in pieces:
            connection.data_received(piece)
        return connection, wire

    async def answer(self, request: bytes) -> Answer:
        """Returns the answer to a request, which is sent over a connection of its own."""
        connection, wire = self.send(request)
        for _ in range(200):
            if answers(wire):
                break
            await asyncio.sleep(0)
        await until(lambda: answers(wire))
        (answer,) = answers(wire)
        connection.connection_lost(None)
        self.sent.remove(connection)
        return answer

    def metric(self, name: str, **labels: str) -> float:
        """Returns the value of a metric."""
        self.context.metrics.flush()
        return self.context.metrics.registry.get_sample_value(f"tagwerk_{name}", labels) or 0.0

    @property
    def queued(self) -> int:
        """Sequences in the queue."""
        return self.context.engine._scheduler.queue.sequences

    async def hold(self, *headers: str) -> None:
        """Has the device run a step that does not end until `device.go` is set."""
        self.device.go.clear()
        self.device.busy.clear()
        self.send(application(post("/classify", b'{"text": "fine"}', *headers)))
        await until(self.device.busy.is_set)

    async def wait(self, request: bytes) -> tuple[Connection, Wire]:
        """Sends a request that waits in the queue while the device is held; returns its connection and wire."""
        queued = self.queued
        connection, wire = self.send(request)
        self.context.plain.run()  # the engine, whose steps are held, does not call it
        for _ in range(1000):
            if self.queued > queued:
                return connection, wire
            await asyncio.sleep(0)
        raise AssertionError("it does not wait in the queue")


@asynccontextmanager
async def running(
    authenticator: Authenticator | None = None, device: SequenceModelDevice | None = None, **settings: Any
) -> AsyncIterator[Service]:
    """Yields a service on a test device, and stops it at the end of the block."""
    device = device or SequenceModelDevice()
    service = Service(made_context(device, authenticator, **settings), device)
    async with lifespan(service.app):
        await until(service.context.ready)
        try:
            yield service
        finally:
            device.go.set()


@contextmanager
def kept(authenticator: Authenticator | None = None, **settings: Any) -> Iterator[tuple[asyncio.Runner, Service]]:
    """Yields a service and what runs its event loop: for many short tests."""
    with asyncio.Runner() as runner:
        block = running(authenticator, **settings)
        service = runner.run(block.__aenter__())
        yield runner, service
        runner.run(block.__aexit__(None, None, None))

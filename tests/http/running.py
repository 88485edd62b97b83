"""The service in the process of its test, which is sent requests over connections without sockets, or by httpx."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.app import create_app
from service.http.connection.connection import Connection
from service.http.context import Context
from service.security.keys import Authenticator
from tests.http.scene import SequenceModelDevice, made_context
from tests.http.wire import Answer, Wire, application, configuration, connect
from tests.http.wire import post as post_request
from tests.waiting import until


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

    def send(self, *chunks: bytes) -> tuple[Connection, Wire]:
        """Sends chunks over a new connection; returns it and its wire."""
        connection, wire = connect(self.context, config=self.configuration)
        self.sent.append(connection)
        for chunk in chunks:
            connection.data_received(chunk)
        return connection, wire

    async def answer(self, request: bytes) -> Answer:
        """Returns the answer to a request, which is sent over a connection of its own."""
        connection, wire = self.send(request)
        await until(wire.answers)
        (answer,) = wire.answers()
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
        self.send(application(post_request("/classify", b'{"text": "fine"}', *headers)))
        await until(self.device.busy.is_set)

    async def wait(self, request: bytes) -> tuple[Connection, Wire]:
        """Sends a request that waits in the queue while the device is held; returns its connection and wire."""
        queued = self.queued
        connection, wire = self.send(request)
        self.context.plain.run()  # the engine, whose steps are held, does not call it
        await until(lambda: self.queued > queued)
        return connection, wire


@asynccontextmanager
async def running(
    authenticator: Authenticator | None = None, device: SequenceModelDevice | None = None, **settings: Any
) -> AsyncIterator[Service]:
    """Yields a service on a test device, and stops it in order at the end of the block."""
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


@asynccontextmanager
async def scene(*arguments: Any, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Yields a client of a service that is `running` with these arguments."""
    async with (
        running(*arguments, **settings) as service,
        httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://here", timeout=30) as client,
    ):
        yield client


def post(path: str, content: bytes, headers: dict[str, str] | None = None, **settings: Any) -> httpx.Response:
    """Returns the answer of a service of its own to a request, whose body is JSON unless the headers say else."""

    async def test() -> httpx.Response:
        async with scene(**settings) as client:
            return await client.post(
                path, content=content, headers={"content-type": "application/json"} | (headers or {})
            )

    return asyncio.run(test())


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Starts and stops an application as a server does."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan"}, to_app.get, from_app.put))
    for step in ("startup", "shutdown"):
        to_app.put_nowait({"type": f"lifespan.{step}"})
        assert (await from_app.get())["type"] == f"lifespan.{step}.complete"
        if step == "startup":
            yield
    await task

"""An engine in another process, as the api worker uses it.

The process at an address may be replaced: the old one announces SUPERSEDED, and a new connection to the same address
reaches its successor. From then on, each request goes to the engine that has its model version, and requests in
progress finish on the old connection. The same holds for an engine that announces DRAINING.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace

from service.engine.changes import Changes
from service.engine.protocol import Generation, Inference, OnChange, Outcome
from service.errors import EngineUnavailable
from service.transport.backoff import Backoff
from service.transport.client import EngineClient
from service.transport.connection import Connection
from service.types import ModelKey, ModelState, Sampled, State

log = logging.getLogger("tagwerk.engine")

LINGER_SECONDS = 1.0  # time for requests that have selected a version of the old engine to be sent


class RemoteEngine:
    """An engine at the other end of a socket. While disconnected, requests fail at once and it reconnects."""

    def __init__(self, address: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """`address` is that of `tagwerk engine`: a Unix socket path, or host:port."""
        self._address = address
        self._sleep = sleep
        self._was_ready: bool | None = None  # None before the first time
        self._clients: list[EngineClient] = []  # the newest last
        self._last: Sequence[ModelState] = ()
        self._disconnected_state = State.STARTING  # the state without a connection
        self._stopped = False
        self._changes = Changes()
        self._disconnecting: set[asyncio.Task[None]] = set()
        self._reconnect = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None

    def state(self) -> State:
        """Returns the state of the engine."""
        if self._stopped:
            return State.STOPPED
        if any(client.takes_requests for client in self._clients):
            return State.READY
        return self._clients[-1].state if self._clients else self._disconnected_state

    def models(self) -> list[ModelState]:
        """Lists the model versions that are loaded or refused; of an old engine, those that its successor lacks."""
        known = {m.key: replace(m, share=0.0) for client in self._clients for m in client.models if client.has(m.key)}
        if self._clients:
            known |= {model.key: model for model in self._clients[-1].models}
        if known:
            return list(known.values())
        gone = State.STOPPED if self._stopped else State.STARTING
        return [replace(model, state=gone) if model.state is State.READY else model for model in self._last]

    async def start(self, on_change: OnChange) -> None:
        """Connects, and reconnects whenever the connection is lost."""
        self._changes = Changes(on_change)
        self._connecting = asyncio.create_task(self._maintain_connection())

    async def infer(self, request: Inference) -> Outcome:
        """Runs all sequences of a request; see `Engine.infer`."""
        return await self._client(request.model, request.begun).infer(request)

    def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the generated tokens; see `Engine.generate`."""
        return self._client(request.model).generate(request)

    def cut_texts(self) -> None:
        """Ends the texts being generated where they are; see `Engine.cut_texts`."""
        for client in self._clients:
            client.cut_texts()

    async def close(self) -> None:
        """Disconnects from the engine."""
        self._stopped = True
        if self._connecting is not None:
            self._connecting.cancel()
        self._changes.cancel()
        for task in self._disconnecting:
            task.cancel()
        for client in list(self._clients):
            client.connection.close()

    def _client(self, model: ModelKey, begun: bool = False) -> EngineClient:
        if self._clients and not self._stopped and self._clients[-1].has(model):  # the usual case
            return self._clients[-1]
        open = [client for client in reversed(self._clients) if client.takes(begun)]
        if not open or self._stopped:
            raise EngineUnavailable(f"the engine is {self.state()}")
        return next((client for client in open if client.has(model)), open[0])

    async def _maintain_connection(self) -> None:
        backoff = Backoff(asyncio.get_running_loop().time)
        while True:
            backoff.attempt()
            self._reconnect.clear()
            try:
                await connect(self._address, self._make_connection)
                await self._reconnect.wait()
            except OSError:
                pass
            await self._sleep(backoff.pause_seconds())

    def _make_connection(self) -> Connection:
        return EngineClient(self._clients.append, self._on_client_change, self._on_close).connection

    def _on_client_change(self, client: EngineClient) -> None:
        newest = self._clients[-1] is client
        if client.state is State.DRAINING:
            client.disconnect_when_idle()
        elif newest and client.state is State.SUPERSEDED:
            if len(self._clients) > 1:  # the old engine has accepted the connection meant for its successor
                client.disconnect_when_idle()
            else:
                self._reconnect.set()
        handled = self._notify()
        if newest and client.state is State.READY and len(self._clients) > 1:
            task = asyncio.create_task(_disconnect_old(self._clients[:-1], handled))
            self._disconnecting.add(task)
            task.add_done_callback(self._disconnecting.discard)

    def _on_close(self, client: EngineClient) -> None:
        newest = self._clients[-1] is client
        self._clients.remove(client)
        if newest and client.models:  # the client has received a report
            self._last, self._disconnected_state = client.models, client.state
        if newest:
            self._reconnect.set()
        if not self._stopped:
            self._notify()

    def _notify(self) -> asyncio.Future[None] | None:
        state = self.state()
        if state is State.READY:
            if self._was_ready is False:
                log.info("the engine at %s is back", self._address)
            self._was_ready = True
        elif self._was_ready:
            log.warning("the engine at %s is %s: it gets no requests until it is back", self._address, state)
            self._was_ready = False
        return self._changes.notify()


async def _disconnect_old(clients: Sequence[EngineClient], handled: asyncio.Future[None] | None) -> None:
    """Disconnects from old engines after the caller has received the new versions and sent its earlier requests."""
    if handled is not None:
        await asyncio.wait({handled})
    await asyncio.sleep(LINGER_SECONDS)
    for client in clients:
        client.disconnect_when_idle()


async def connect(address: str, make: Callable[[], Connection]) -> None:
    """Connects to a Unix socket path, or to host:port. Raises OSError."""
    loop = asyncio.get_running_loop()
    if "/" in address:
        await loop.create_unix_connection(make, address)
    else:
        host, port = address.rsplit(":", 1)
        await loop.create_connection(make, host, int(port))

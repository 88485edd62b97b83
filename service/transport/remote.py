"""The engine in another process, from the api worker's side.

The process at an address may change: one that is superseded says so, and the next connection to the same address finds
its successor. From then on, each request goes to the one that has its model version; what was under way on the old
connection ends there. So it does on the connection to an engine that says that it drains.
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

LINGER_SECONDS = 1.0  # in which requests that have chosen a version of the old engine reach it


class RemoteEngine:
    """Engine at the other end of a socket. When it is gone, requests fail at once, and it is looked for until back."""

    def __init__(self, address: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """`address` is that of `tagwerk engine`: the path of a Unix socket, or host:port."""
        self._address = address
        self._sleep = sleep
        self._was_ready: bool | None = None  # None before the first time
        self._clients: list[EngineClient] = []  # the newest last
        self._last: Sequence[ModelState] = ()
        self._alone = State.STARTING  # the state while there is no link
        self._stopped = False
        self._changes = Changes()
        self._leaving: set[asyncio.Task[None]] = set()
        self._connect_anew = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    def state(self) -> State:
        """Says whether the engine takes requests."""
        if self._stopped:
            return State.STOPPED
        if any(client.takes_requests for client in self._clients):
            return State.READY
        return self._clients[-1].state if self._clients else self._alone

    def models(self) -> list[ModelState]:
        """Lists the model versions that it has, or refused; of an old engine none that its successor has."""
        known = {m.key: replace(m, share=0.0) for client in self._clients for m in client.models if client.has(m.key)}
        if self._clients:
            known |= {model.key: model for model in self._clients[-1].models}
        if known:
            return list(known.values())
        gone = State.STOPPED if self._stopped else State.STARTING
        return [replace(model, state=gone) if model.state is State.READY else model for model in self._last]

    async def start(self, on_change: OnChange) -> None:
        """Connects, now and whenever the connection is lost."""
        self._changes = Changes(on_change)
        self._keeping = asyncio.create_task(self._keep_connected())

    async def infer(self, request: Inference) -> Outcome:
        """Runs all sequences of a request; see `Engine.infer`."""
        return await self._client(request.model, request.begun).infer(request)

    def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the generated tokens; see `Engine.generate`."""
        return self._client(request.model).generate(request)

    def cut_texts(self) -> None:
        """Lets the texts that are being generated end where they are; see `Engine.cut_texts`."""
        for client in self._clients:
            client.cut_texts()

    async def close(self) -> None:
        """Leaves the engine."""
        self._stopped = True
        if self._keeping is not None:
            self._keeping.cancel()
        self._changes.cancel()
        for leaving in self._leaving:
            leaving.cancel()
        for client in list(self._clients):
            client.connection.close()

    def _client(self, model: ModelKey, begun: bool = False) -> EngineClient:
        if self._clients and not self._stopped and self._clients[-1].has(model):  # as nearly always
            return self._clients[-1]
        open = [client for client in reversed(self._clients) if client.takes(begun)]
        if not open or self._stopped:
            raise EngineUnavailable(f"the engine is {self.state()}")
        return next((client for client in open if client.has(model)), open[0])

    async def _keep_connected(self) -> None:
        backoff = Backoff(asyncio.get_running_loop().time)
        while True:
            backoff.attempt()
            self._connect_anew.clear()
            try:
                await connect(self._address, self._make_connection)
                await self._connect_anew.wait()
            except OSError:
                pass
            await self._sleep(backoff.pause_seconds())

    def _make_connection(self) -> Connection:
        return EngineClient(self._clients.append, self._on_client_change, self._on_close).connection

    def _on_client_change(self, client: EngineClient) -> None:
        newest = self._clients[-1] is client
        if client.state is State.DRAINING:
            client.leave()
        elif newest and client.state is State.SUPERSEDED:
            if len(self._clients) > 1:  # the old engine has taken the connection that was meant for its successor
                client.leave()
            else:
                self._connect_anew.set()
        taken = self._tell()
        if newest and client.state is State.READY and len(self._clients) > 1:
            leaving = asyncio.create_task(_leave(self._clients[:-1], taken))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    def _on_close(self, client: EngineClient) -> None:
        newest = self._clients[-1] is client
        self._clients.remove(client)
        if newest and client.models:  # it has reported
            self._last, self._alone = client.models, client.state
        if newest:
            self._connect_anew.set()
        if not self._stopped:
            self._tell()

    def _tell(self) -> asyncio.Task[None] | None:
        state = self.state()
        if state is State.READY:
            if self._was_ready is False:
                log.info("the engine at %s is back", self._address)
            self._was_ready = True
        elif self._was_ready:
            log.warning("the engine at %s is %s: it gets no requests until it is back", self._address, state)
            self._was_ready = False
        return self._changes.tell()


async def _leave(clients: Sequence[EngineClient], taken: asyncio.Task[None] | None) -> None:
    """Leaves old engines once the caller knows the versions of the new one, and has sent what it chose before that."""
    if taken is not None:
        await asyncio.wait({taken})
    await asyncio.sleep(LINGER_SECONDS)
    for client in clients:
        client.leave()


async def connect(address: str, make: Callable[[], Connection]) -> None:
    """Connects to the path of a Unix socket, or to host:port. Raises OSError."""
    loop = asyncio.get_running_loop()
    if "/" in address:
        await loop.create_unix_connection(make, address)
    else:
        host, port = address.rsplit(":", 1)
        await loop.create_connection(make, host, int(port))

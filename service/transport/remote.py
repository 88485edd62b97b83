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
from service.transport.connection import Connection
from service.transport.link import Link
from service.types import ModelKey, ModelState, Sampled, State

log = logging.getLogger("tagwerk.engine")

FAREWELL_SECONDS = 1.0  # in which requests that have chosen a version of the old engine reach it


class RemoteEngine:
    """Engine at the other end of a socket. When it is gone, requests fail at once, and it is looked for until back."""

    def __init__(self, address: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """`address` is that of `tagwerk engine`: the path of a Unix socket, or host:port."""
        self._address = address
        self._sleep = sleep
        self._was_ready: bool | None = None  # None before the first time
        self._links: list[Link] = []  # the newest last
        self._last: Sequence[ModelState] = ()
        self._alone = State.STARTING  # the state while there is no link
        self._stopped = False
        self._changes = Changes()
        self._farewells: set[asyncio.Task[None]] = set()
        self._connect_anew = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    def state(self) -> State:
        """Says whether the engine takes requests."""
        if self._stopped:
            return State.STOPPED
        if any(link.takes_requests for link in self._links):
            return State.READY
        return self._links[-1].state if self._links else self._alone

    def models(self) -> list[ModelState]:
        """Lists the model versions that it has, or refused; of an old engine none that its successor has."""
        known = {m.key: replace(m, share=0.0) for link in self._links for m in link.models if link.has(m.key)}
        if self._links:
            known |= {model.key: model for model in self._links[-1].models}
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
        return await self._link(request.model, request.begun).infer(request)

    def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the generated tokens; see `Engine.generate`."""
        return self._link(request.model).generate(request)

    def cut_texts(self) -> None:
        """Lets the texts that are being generated end where they are; see `Engine.cut_texts`."""
        for link in self._links:
            link.cut_texts()

    async def close(self) -> None:
        """Leaves the engine."""
        self._stopped = True
        if self._keeping is not None:
            self._keeping.cancel()
        self._changes.cancel()
        for farewell in self._farewells:
            farewell.cancel()
        for link in list(self._links):
            link.connection.close()

    def _link(self, model: ModelKey, begun: bool = False) -> Link:
        if self._links and not self._stopped and self._links[-1].has(model):  # as nearly always
            return self._links[-1]
        open = [link for link in reversed(self._links) if link.takes(begun)]
        if not open or self._stopped:
            raise EngineUnavailable(f"the engine is {self.state()}")
        return next((link for link in open if link.has(model)), open[0])

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
        return Link(self._links.append, self._on_link_change, self._on_close).connection

    def _on_link_change(self, link: Link) -> None:
        newest = self._links[-1] is link
        if link.state is State.DRAINING:
            link.leave()
        elif newest and link.state is State.SUPERSEDED:
            if len(self._links) > 1:  # the old engine has taken the connection that was meant for its successor
                link.leave()
            else:
                self._connect_anew.set()
        taken = self._tell()
        if newest and link.state is State.READY and len(self._links) > 1:
            farewell = asyncio.create_task(_leave(self._links[:-1], taken))
            self._farewells.add(farewell)
            farewell.add_done_callback(self._farewells.discard)

    def _on_close(self, link: Link) -> None:
        newest = self._links[-1] is link
        self._links.remove(link)
        if newest and link.models:  # it has reported
            self._last, self._alone = link.models, link.state
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


async def _leave(links: Sequence[Link], taken: asyncio.Task[None] | None) -> None:
    """Leaves old engines once the caller knows the versions of the new one, and has sent what it chose before that."""
    if taken is not None:
        await asyncio.wait({taken})
    await asyncio.sleep(FAREWELL_SECONDS)
    for link in links:
        link.leave()


async def connect(address: str, make: Callable[[], Connection]) -> None:
    """Connects to the path of a Unix socket, or to host:port. Raises OSError."""
    loop = asyncio.get_running_loop()
    if "/" in address:
        await loop.create_unix_connection(make, address)
    else:
        host, port = address.rsplit(":", 1)
        await loop.create_connection(make, host, int(port))

"""The engine in another process: the api worker's end of the connection."""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from service.engine.connection import Connection
from service.engine.deadline import expire
from service.engine.messages import (
    AnyMessage,
    Cancel,
    Done,
    Failed,
    Generate,
    Infer,
    Report,
    Token,
    error_of,
    pack,
    unpack,
)
from service.engine.protocol import Generation, Inference, ModelKey, ModelState, Outcome, Sampled, State
from service.errors import DeadlineExceeded, EngineUnavailable, TagwerkError

log = logging.getLogger("tagwerk.engine")

RECONNECT_SECONDS = 0.05
GRACE_SECONDS = 0.5  # after a deadline, for the engine to say where the time went


class RemoteEngine:
    """Engine at the other end of a socket. When it is gone, requests fail at once, and it is looked for until back."""

    def __init__(self, address: str) -> None:
        """`address` is that of `tagwerk engine`: the path of a Unix socket, or host:port."""
        self._address = address
        self._ids = itertools.count(1)
        self._connection: Connection | None = None
        self._waiters: dict[int, asyncio.Future[Done]] = {}
        self._texts: dict[int, asyncio.Queue[Sampled | TagwerkError]] = {}
        self._state = State.STARTING
        self._models: list[ModelState] = []
        self._on_change: Callable[[], None] = lambda: None
        self._lost = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    def state(self) -> State:
        """Says whether the engine takes requests."""
        return self._state

    def models(self) -> list[ModelState]:
        """Lists the model versions that it has, or refused."""
        return self._models

    async def start(self, on_change: Callable[[], None]) -> None:
        """Connects, now and whenever the connection is lost."""
        self._on_change = on_change
        self._keeping = asyncio.create_task(self._keep_connected())

    async def infer(self, request: Inference) -> Outcome:
        """Runs all examples of a request; see `Engine.infer`."""
        connection, id = self._ready_connection(), next(self._ids)
        waiter = self._waiters[id] = asyncio.get_running_loop().create_future()
        seconds = request.deadline - time.monotonic()
        examples = [pack(example) for example in request.examples]
        further = tuple(sorted(request.further))
        connection.send(Infer(id, request.model.name, request.model.version, examples, seconds, further))
        timer = asyncio.get_running_loop().call_later(seconds + GRACE_SECONDS, expire, waiter)
        try:
            done = await waiter
        except (asyncio.CancelledError, DeadlineExceeded):
            connection.send(Cancel(id))
            raise
        finally:
            timer.cancel()
            del self._waiters[id]
        outputs = [unpack(output) for output in done.outputs]
        return Outcome(outputs, done.queue_seconds, done.inference_seconds, done.batch_size)

    async def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the generated tokens; see `Engine.generate`."""
        connection, id = self._ready_connection(), next(self._ids)
        text = self._texts[id] = asyncio.Queue()
        seconds = request.deadline - time.monotonic()
        late = DeadlineExceeded("the deadline passed before the text was complete")
        timer = asyncio.get_running_loop().call_later(seconds, text.put_nowait, late)
        wish: dict[str, Any] = {
            "name": request.model.name,
            "version": request.model.version,
            "prompt": request.prompt.tobytes(),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_k": request.top_k,
            "top_p": request.top_p,
            "seed": request.seed,
            "timeout_seconds": seconds,
            "logprobs": request.logprobs,
        }
        connection.send(Generate(id, **wish))
        received = 0
        try:
            while received < request.max_tokens:
                item = await text.get()
                if isinstance(item, TagwerkError):
                    raise item
                received += 1
                yield item
        finally:
            timer.cancel()
            del self._texts[id]
            if received < request.max_tokens:
                connection.send(Cancel(id))

    async def close(self) -> None:
        """Leaves the engine."""
        self._state = State.STOPPED
        if self._keeping is not None:
            self._keeping.cancel()
        if self._connection is not None:
            self._connection.close()

    def _ready_connection(self) -> Connection:
        if self._connection is None or self._state is not State.READY:
            raise EngineUnavailable(f"the engine is {self._state}")
        return self._connection

    async def _keep_connected(self) -> None:
        while True:
            try:
                await connect(self._address, lambda: Connection(self._on_open, self._on_message, self._on_close))
            except OSError:
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            await self._lost.wait()

    def _on_open(self, connection: Connection) -> None:
        self._connection = connection
        self._lost.clear()

    def _on_message(self, connection: Connection, message: AnyMessage) -> None:
        match message:
            case Done(id=id):
                if (waiter := self._waiters.get(id)) is not None and not waiter.done():
                    waiter.set_result(message)
            case Token(id=id, sampled=sampled):
                if (text := self._texts.get(id)) is not None:
                    text.put_nowait(sampled)
            case Failed(id=id):
                self._fail(id, error_of(message))
            case Report(state=state, models=models):
                self._state = state
                self._models = [ModelState(ModelKey(name, version), s, why) for name, version, s, why in models]
                self._on_change()

    def _on_close(self, connection: Connection) -> None:
        """Everything that was under way is lost with the engine; its callers hear of it now."""
        self._connection = None
        self._lost.set()
        if self._state is not State.STOPPED:
            log.warning("the connection to the engine is lost")
            self._state = State.STARTING
            self._on_change()
        for id in [*self._waiters, *self._texts]:
            self._fail(id, EngineUnavailable("the engine went away while it worked on the request"))

    def _fail(self, id: int, error: TagwerkError) -> None:
        if (waiter := self._waiters.get(id)) is not None and not waiter.done():
            waiter.set_exception(error)
        if (text := self._texts.get(id)) is not None:
            text.put_nowait(error)


async def connect(address: str, make: Callable[[], Connection]) -> None:
    """Connects to the path of a Unix socket, or to host:port. Raises OSError."""
    loop = asyncio.get_running_loop()
    if "/" in address:
        await loop.create_unix_connection(make, address)
    else:
        host, port = address.rsplit(":", 1)
        await loop.create_connection(make, host, int(port))

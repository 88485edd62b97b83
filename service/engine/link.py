"""A connection to an engine process, and the requests that are under way on it."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Sequence
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
    states_of,
    unpack,
)
from service.engine.protocol import Generation, Inference, ModelKey, ModelState, Outcome, Sampled, State
from service.errors import DeadlineExceeded, EngineUnavailable, TagwerkError

GRACE_SECONDS = 0.5  # after a deadline, for the engine to say where the time went


class Link:
    """One engine process, as long as the connection lasts. Its requests end with it."""

    def __init__(
        self,
        on_open: Callable[["Link"], None],
        on_report: Callable[["Link"], None],
        on_close: Callable[["Link"], None],
    ) -> None:
        self.state = State.STARTING
        self.models: Sequence[ModelState] = ()
        self._ready: frozenset[ModelKey] = frozenset()
        self.connection = Connection(lambda _: on_open(self), self._on_message, self._on_close)
        self._on_report = on_report
        self._on_end = on_close
        self._ids = itertools.count(1)
        self._waiters: dict[int, asyncio.Future[Done]] = {}
        self._texts: dict[int, asyncio.Queue[Sampled | TagwerkError | None]] = {}  # None is the end
        self._leaving = False

    def has(self, key: ModelKey) -> bool:
        """True where the engine takes requests for a model version."""
        return self.takes_requests and key in self._ready

    @property
    def takes_requests(self) -> bool:
        """True while the engine answers, if only until its successor is known."""
        return self.state in (State.READY, State.SUPERSEDED)

    async def infer(self, request: Inference) -> Outcome:
        """Runs all examples of a request; see `Engine.infer`."""
        id = next(self._ids)
        waiter = self._waiters[id] = asyncio.get_running_loop().create_future()
        seconds = request.deadline - time.monotonic()
        examples = [pack(example) for example in request.examples]
        further = tuple(sorted(request.further))
        name, version = request.model.name, request.model.version
        self.connection.send(Infer(id, name, version, examples, seconds, further, request.begun))
        timer = asyncio.get_running_loop().call_later(seconds + GRACE_SECONDS, expire, waiter)
        try:
            done = await waiter
        except (asyncio.CancelledError, DeadlineExceeded):
            self.connection.send(Cancel(id))
            raise
        finally:
            timer.cancel()
            del self._waiters[id]
            self._close_if_done()
        outputs = [unpack(output) for output in done.outputs]
        return Outcome(outputs, done.queue_seconds, done.inference_seconds, done.batch_size)

    async def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the generated tokens; see `Engine.generate`."""
        id = next(self._ids)
        text = self._texts[id] = asyncio.Queue()
        seconds = request.deadline - time.monotonic()
        late = DeadlineExceeded("the deadline passed before the text was complete")
        timer = asyncio.get_running_loop().call_later(seconds + GRACE_SECONDS, text.put_nowait, late)
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
            "at_once": request.at_once,
        }
        self.connection.send(Generate(id, **wish))
        received = 0
        try:
            while received < request.max_tokens:
                item = await text.get()
                if item is None:
                    return
                if isinstance(item, TagwerkError):
                    raise item
                received += 1
                yield item
        finally:
            timer.cancel()
            del self._texts[id]
            if received < request.max_tokens:
                self.connection.send(Cancel(id))
            self._close_if_done()

    def cut_texts(self) -> None:
        """Lets the texts that are being generated end where they are; see `Engine.cut_texts`."""
        for text in self._texts.values():
            text.put_nowait(None)

    def leave(self) -> None:
        """Closes the connection once nothing is under way on it."""
        self._leaving = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._leaving and not self._waiters and not self._texts:
            self.connection.close()

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
            case Report(state=state):
                self.state, self.models = state, states_of(message)
                self._ready = frozenset(model.key for model in self.models if model.state is State.READY)
                self._on_report(self)

    def _on_close(self, connection: Connection) -> None:
        """Everything that was under way is lost with the engine; its callers hear of it now."""
        if self.state is not State.STOPPED:  # it has not said that it ends, so it may come again
            self.state = State.STARTING
        self._on_end(self)
        for id in [*self._waiters, *self._texts]:
            self._fail(id, EngineUnavailable("the engine went away while it worked on the request"))

    def _fail(self, id: int, error: TagwerkError) -> None:
        if (waiter := self._waiters.get(id)) is not None and not waiter.done():
            waiter.set_exception(error)
        if (text := self._texts.get(id)) is not None:
            text.put_nowait(error)

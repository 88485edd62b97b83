"""A connection to an engine process, and its requests in progress."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from service.engine.protocol import Generation, Inference, Outcome
from service.errors import DeadlineExceeded, EngineUnavailable, InternalError, TagwerkError
from service.transport.connection import Connection
from service.transport.heartbeat import BEAT_SECONDS, SILENT_BEATS, Heartbeat
from service.transport.messages import (
    MAX_ARRAY_BYTES,
    AnyMessage,
    Cancel,
    Done,
    Failed,
    Generate,
    Infer,
    Ping,
    Report,
    Token,
    column,
    error_of,
    pack,
    seconds,
    split_by_tokens,
    states_of,
    unpack,
    whole_numbers,
)
from service.types import ModelKey, ModelState, Ragged, Sampled, State, joined

LINGER_SECONDS = 0.2  # idle time before disconnecting from an engine: a request's next step may follow
GRACE_SECONDS = 0.5  # after a deadline, for the engine to report where the time went
SILENT = f"the engine has not answered for {BEAT_SECONDS * SILENT_BEATS:g} s"


class EngineClient:
    """Sends requests to one engine process over one connection. They fail when it is lost.

    Exchanges heartbeats while requests are in progress: if the engine is silent, its state becomes AWAY, its requests
    fail, and it gets no more until it sends something.
    """

    def __init__(
        self,
        on_open: Callable[["EngineClient"], None],
        on_change: Callable[["EngineClient"], None],
        on_close: Callable[["EngineClient"], None],
    ) -> None:
        self.state = State.STARTING
        self.models: Sequence[ModelState] = ()
        self._ready: frozenset[ModelKey] = frozenset()
        self._report: Report | None = None  # the last one
        self.connection = Connection(lambda _: on_open(self), self._on_message, self._on_close)
        self._on_change = on_change
        self._on_end = on_close
        self._ids = itertools.count(1)
        self._waiters: dict[int, asyncio.Future[Outcome]] = {}
        self._unsent: list[tuple[int, Inference]] = []  # requests of this event loop iteration
        self._texts: dict[int, asyncio.Queue[Sampled | TagwerkError | None]] = {}  # None is the end
        self._disconnecting = False
        self._heartbeat = Heartbeat(
            busy=self._in_progress,
            reads=lambda: self.connection.reads,
            ping=lambda: self.connection.send(Ping(0)),
            on_silence=self._on_silence,
        )

    def has(self, key: ModelKey) -> bool:
        """True if the engine accepts requests for a model version."""
        return self.takes_requests and key in self._ready

    def takes(self, begun: bool) -> bool:
        """True if the engine accepts new requests, or those that are `begun`, also while it drains."""
        return self.takes_requests or (begun and self.state is State.DRAINING)

    @property
    def takes_requests(self) -> bool:
        """True while the engine accepts new requests; a replaced one does until its successor is connected."""
        return self.state in (State.READY, State.SUPERSEDED)

    async def infer(self, request: Inference) -> Outcome:
        """Runs all sequences of a request; see `Engine.infer`."""
        check_size(request.sequences)
        id, loop = next(self._ids), asyncio.get_running_loop()
        waiter: asyncio.Future[Outcome] = loop.create_future()
        self._waiters[id] = waiter
        if not self._unsent:
            loop.call_soon(self._send_requests)
        self._unsent.append((id, request))
        self._heartbeat.watch()
        timer = loop.call_later(request.deadline - time.monotonic() + GRACE_SECONDS, expire, waiter)
        try:
            return await waiter
        except (asyncio.CancelledError, DeadlineExceeded, EngineUnavailable):
            self.connection.send(Cancel(id))
            raise
        finally:
            timer.cancel()
            del self._waiters[id]
            self._schedule_close()

    def _send_requests(self) -> None:
        """Sends the requests of this event loop iteration, one message per model."""
        unsent, self._unsent = self._unsent, []
        kinds: dict[tuple[ModelKey, frozenset[str], bool], list[tuple[int, Inference]]] = {}
        for id, request in unsent:
            if id in self._waiters:  # not cancelled meanwhile
                kinds.setdefault((request.model, request.further, request.begun), []).append((id, request))
        for kind in kinds.values():
            for some in split_by_tokens(kind, lambda item: item[1].sequences.tokens):
                self.connection.send(infer_message(some))
        self.connection.flush()

    async def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the generated tokens; see `Engine.generate`."""
        id = next(self._ids)
        text = self._texts[id] = asyncio.Queue()
        seconds = request.deadline - time.monotonic()
        late = DeadlineExceeded("the deadline passed before the text was complete")
        timer = asyncio.get_running_loop().call_later(seconds + GRACE_SECONDS, text.put_nowait, late)
        fields: dict[str, Any] = {
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
            "client": request.client,
        }
        self.connection.send(Generate(id, **fields))
        self._heartbeat.watch()
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
            self._schedule_close()

    def cut_texts(self) -> None:
        """Ends the texts being generated where they are; see `Engine.cut_texts`."""
        for text in self._texts.values():
            text.put_nowait(None)

    def disconnect_when_idle(self) -> None:
        """Closes the connection once nothing has been in progress on it for a while."""
        self._disconnecting = True
        self._schedule_close()

    def _schedule_close(self) -> None:
        if self._disconnecting and not self._in_progress():
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._close_if_done)

    def _close_if_done(self) -> None:
        if not self._in_progress():
            self.state = State.STOPPED  # so that it is not selected before the connection is closed
            self.connection.close()

    def _in_progress(self) -> bool:
        return bool(self._waiters or self._texts)

    def _on_message(self, connection: Connection, message: AnyMessage) -> None:
        if self.state is State.AWAY and self._report is not None:
            self._apply(self._report)
        match message:
            case Done():
                for id, outcome in outcomes_of(message):
                    if (waiter := self._waiters.get(id)) is not None and not waiter.done():
                        waiter.set_result(outcome)
            case Token(id=id, sampled=sampled):
                if (text := self._texts.get(id)) is not None:
                    text.put_nowait(sampled)
            case Failed(id=id):
                self._fail(id, error_of(message))
            case Report():
                self._apply(message)

    def _apply(self, report: Report) -> None:
        self._report = report
        self.state, self.models = report.state, states_of(report)
        self._ready = frozenset(model.key for model in self.models if model.state is State.READY)
        self._on_change(self)

    def _on_silence(self) -> None:
        """Fails all requests; late answers to them are ignored."""
        self.state = State.AWAY
        self.models = [
            replace(model, state=State.STARTING) if model.state is State.READY else model for model in self.models
        ]
        self._fail_all(SILENT)
        self._on_change(self)

    def _on_close(self, connection: Connection) -> None:
        """Fails all requests in progress."""
        self._heartbeat.stop()
        ends = self.state in (State.DRAINING, State.STOPPED)  # announced by the engine; otherwise it may come back
        self.state = State.STOPPED if ends else State.STARTING
        self._on_end(self)
        self._fail_all("the connection to the engine was lost while it processed the request")

    def _fail_all(self, reason: str) -> None:
        for id in [*self._waiters, *self._texts]:
            self._fail(id, EngineUnavailable(reason))

    def _fail(self, id: int, error: TagwerkError) -> None:
        if (waiter := self._waiters.get(id)) is not None and not waiter.done():
            waiter.set_exception(error)
        if (text := self._texts.get(id)) is not None:
            text.put_nowait(error)


def expire(waiter: asyncio.Future[Any]) -> None:
    """Fails a future with DeadlineExceeded. Called by a timer, at half the cost of `asyncio.timeout`."""
    if not waiter.done():
        waiter.set_exception(DeadlineExceeded("the deadline passed before the answer was ready"))


def check_size(sequences: Ragged) -> None:
    """Raises InternalError for sequences that exceed the size of a message."""
    if sequences.nbytes > MAX_ARRAY_BYTES:
        size = f"{sequences.nbytes} bytes do not fit into a message"
        raise InternalError(f"{size}; at most {MAX_ARRAY_BYTES} do")


def infer_message(requests: Sequence[tuple[int, Inference]]) -> Infer:
    """Encodes requests with the same model and outputs as columns."""
    first, now = requests[0][1], time.monotonic()
    sequences = joined([request.sequences for _, request in requests])
    return Infer(
        name=first.model.name,
        version=first.model.version,
        ids=column([id for id, _ in requests], np.int64),
        counts=column([len(request.sequences) for _, request in requests], np.int64),
        timeouts_seconds=column([request.deadline - now for _, request in requests], np.float64),
        clients=column([request.client for _, request in requests], np.int64),
        lengths=column(sequences.lengths, np.int32),
        values=pack(sequences.values),
        further=tuple(sorted(first.further)),
        begun=first.begun,
    )


def outcomes_of(message: Done) -> Iterator[tuple[int, Outcome]]:
    """Yields the id and outcome of each request of a message. Raises ValueError or TypeError for invalid columns."""
    timed, others = unpack(message.timed), unpack(message.others)
    columns = zip(
        whole_numbers(message.ids),
        whole_numbers(message.counts),
        whole_numbers(message.tokens),
        seconds(message.queue_seconds),
        seconds(message.inference_seconds),
        whole_numbers(message.batch_sizes),
        strict=True,
    )
    row = cell = 0
    for id, count, tokens, queued, inferred, batch_size in columns:
        outputs = {name: values[cell : cell + tokens] for name, values in timed.items()}
        outputs |= {name: values[row : row + count] for name, values in others.items()}
        row, cell = row + count, cell + tokens
        yield id, Outcome(outputs, queued, inferred, batch_size)

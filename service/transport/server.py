"""Serves an engine to api workers over a socket."""

import asyncio
import logging
import math
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import numpy as np

from service.engine.batches import outputs_of
from service.engine.local import LocalEngine
from service.engine.protocol import Generation, Requests
from service.engine.queue import EngineRequest
from service.errors import InternalError, TagwerkError
from service.transport.connection import Connection
from service.transport.messages import (
    AnyMessage,
    Cancel,
    Done,
    Generate,
    Infer,
    Ping,
    Pong,
    Report,
    Token,
    column,
    failed,
    pack,
    report,
    seconds,
    split_by_tokens,
    unpack,
    whole_numbers,
)
from service.types import ModelKey, Ragged, State

log = logging.getLogger("tagwerk.engine")


@dataclass(slots=True)
class Peer:
    """A connected worker, and its requests in progress by the worker's ids."""

    requests: dict[int, EngineRequest] = field(default_factory=dict)
    texts: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    finished: list[tuple[int, EngineRequest]] = field(
        default_factory=list
    )  # to be sent at the end of this loop iteration


class EngineServer:
    """Runs workers' requests on an engine. Cancels those of a worker that disconnects.

    Requests of one message are admitted together; those that end in one event loop iteration are answered together.
    """

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._announced: State | None = None  # overrides the engine's own state
        self._peers: dict[Connection, Peer] = {}

    async def listen(self, listening: socket.socket) -> asyncio.Server:
        """Accepts workers on a listening socket, see `service.process.listening.open_engine_socket`."""
        loop = asyncio.get_running_loop()
        if listening.family == socket.AF_UNIX:
            return await loop.create_unix_server(self._make_connection, sock=listening)
        return await loop.create_server(self._make_connection, sock=listening)

    @property
    def workers(self) -> int:
        """Number of connected workers."""
        return len(self._peers)

    def announce(self, state: State) -> None:
        """Announces a future state to workers. The engine still accepts requests that are on their way."""
        self._announced = state
        self.report()

    def report(self) -> None:
        """Sends every worker the state of the engine and its models."""
        for connection in self._peers:
            connection.send(self._report())

    def _make_connection(self) -> Connection:
        return Connection(self._on_open, self._on_message, self._on_close, self._send_finished)

    def _on_open(self, connection: Connection) -> None:
        self._peers[connection] = Peer()
        connection.send(self._report())

    def _on_close(self, connection: Connection) -> None:
        peer = self._peers.pop(connection)
        for request in peer.requests.values():
            self._engine.abandon(request)
        for task in peer.texts.values():
            task.cancel()

    def _on_message(self, connection: Connection, message: AnyMessage) -> None:
        peer = self._peers[connection]
        if isinstance(message, Infer):
            self._submit(connection, peer, message)
        elif isinstance(message, Generate):
            task = peer.texts[message.id] = asyncio.create_task(self._generate(connection, message))
            task.add_done_callback(lambda _: peer.texts.pop(message.id, None))
        elif isinstance(message, Cancel):
            if (request := peer.requests.pop(message.id, None)) is not None:
                self._engine.abandon(request)
            elif message.id in peer.texts:
                peer.texts[message.id].cancel()
        elif isinstance(message, Ping):
            connection.send(Pong(0))

    def _submit(self, connection: Connection, peer: Peer, message: Infer) -> None:
        ids = whole_numbers(message.ids)

        def done(position: int, request: EngineRequest | None, error: TagwerkError | None) -> None:
            peer.requests.pop(ids[position], None)
            if error is not None:
                connection.send(failed(ids[position], error))
            elif request is not None:
                if not peer.finished:
                    asyncio.get_running_loop().call_soon(self._send_finished, connection)
                peer.finished.append((ids[position], request))

        try:
            submitted = self._engine.submit(requests_of(message, len(ids)), done)
        except Exception as error:
            if not isinstance(error, TagwerkError):
                log.exception("requests for %s/%s failed", message.name, message.version)
                error = InternalError(f"the engine failed: {error!r}")
            for id in ids:
                connection.send(failed(id, error))
        else:
            peer.requests |= {id: request for id, request in zip(ids, submitted, strict=True) if request is not None}

    def _send_finished(self, connection: Connection) -> None:
        """Sends the outputs of finished requests, unless the connection's write buffer is full."""
        peer = self._peers.get(connection)
        if peer is None or not connection.writable:
            return
        finished, peer.finished = peer.finished, []
        for some in group_by_outputs(finished):
            try:
                connection.send(done_message(some))
            except TagwerkError as error:
                for id, _ in some:
                    connection.send(failed(id, error))
        connection.flush()

    async def _generate(self, connection: Connection, message: Generate) -> None:
        """Sends the tokens of a text, or its error."""
        try:
            async with aclosing(self._engine.generate(generation_of(message))) as tokens:
                async for token in tokens:
                    connection.send(Token(message.id, token))
        except TagwerkError as error:
            connection.send(failed(message.id, error))
        except Exception as error:
            log.exception("a request for %s/%s failed", message.name, message.version)
            connection.send(failed(message.id, InternalError(f"the engine failed: {error!r}")))

    def _report(self) -> Report:
        return report(self._announced or self._engine.state(), self._engine.models())


def group_by_outputs(finished: Sequence[tuple[int, EngineRequest]]) -> Iterator[list[tuple[int, EngineRequest]]]:
    """Yields groups of requests with the same model and outputs, bounded in tokens."""
    kinds: dict[tuple[ModelKey, frozenset[str]], list[tuple[int, EngineRequest]]] = {}
    for id, request in finished:
        kinds.setdefault((request.model, request.further), []).append((id, request))
    for kind in kinds.values():
        yield from split_by_tokens(kind, lambda item: sum(item[1].lengths))


def done_message(finished: Sequence[tuple[int, EngineRequest]]) -> Done:
    """Encodes the outputs of requests with the same model and outputs. Raises InternalError if they are too large."""
    requests = [request for _, request in finished]
    timed, others = outputs_of(requests)
    return Done(
        ids=column([id for id, _ in finished], np.int64),
        counts=column([len(request.lengths) for request in requests], np.int64),
        tokens=column([sum(request.lengths) for request in requests], np.int64),
        timed=pack(timed),
        others=pack(others),
        queue_seconds=column([request.queue_seconds for request in requests], np.float64),
        inference_seconds=column([request.inference_seconds for request in requests], np.float64),
        batch_sizes=column([request.batch_size for request in requests], np.int64),
    )


def requests_of(message: Infer, requests: int) -> Requests:
    """Decodes an Infer. Raises ValueError or TypeError for invalid columns."""
    counts, timeouts = whole_numbers(message.counts), seconds(message.timeouts_seconds)
    clients = whole_numbers(message.clients)
    if not requests == len(counts) == len(timeouts) == len(clients):
        found = f"{len(counts)} counts, {len(timeouts)} times and {len(clients)} clients"
        raise ValueError(f"{requests} requests with {found}")
    return Requests(
        ModelKey(message.name, message.version),
        Ragged(np.frombuffer(message.lengths, np.int32), unpack(message.values)),
        counts,
        list(map(deadline_of, timeouts)),
        clients,
        frozenset(message.further),
        message.begun,
    )


def generation_of(message: Generate) -> Generation:
    """Decodes a Generate. Raises ValueError if the prompt's bytes are no 32-bit numbers."""
    return Generation(
        model=ModelKey(message.name, message.version),
        prompt=np.frombuffer(message.prompt, np.int32),
        max_tokens=message.max_tokens,
        temperature=message.temperature,
        top_k=message.top_k,
        top_p=message.top_p,
        seed=message.seed,
        deadline=deadline_of(message.timeout_seconds),
        logprobs=message.logprobs,
        at_once=message.at_once,
        client=message.client,
    )


def deadline_of(timeout_seconds: float) -> float:
    """Converts a timeout to a deadline of this machine's monotonic clock. Raises ValueError if it is not finite."""
    if not math.isfinite(timeout_seconds):
        raise ValueError(f"a request has {timeout_seconds} s; a finite time is allowed")
    return time.monotonic() + timeout_seconds

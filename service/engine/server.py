"""Offers an engine to api workers over a socket."""

import asyncio
import socket
import time
from contextlib import aclosing

import numpy as np

from service.engine.connection import Connection
from service.engine.messages import (
    AnyMessage,
    Cancel,
    Done,
    Generate,
    Infer,
    Report,
    Token,
    failed,
    pack,
    report,
    unpack,
)
from service.engine.protocol import Engine, Generation, Inference, ModelKey, State
from service.errors import TagwerkError


class EngineServer:
    """Runs what workers ask for on an engine. A worker that goes away takes its requests with it."""

    def __init__(self, engine: Engine) -> None:
        self.superseded = False  # another engine takes workers at the same address
        self._engine = engine
        self._running: dict[Connection, dict[int, asyncio.Task[None]]] = {}

    async def listen(self, listening: socket.socket) -> asyncio.Server:
        """Takes workers who come to a listening socket, see `service.listening.open_engine_socket`."""
        loop = asyncio.get_running_loop()
        if listening.family == socket.AF_UNIX:
            return await loop.create_unix_server(self._make_connection, sock=listening)
        return await loop.create_server(self._make_connection, sock=listening)

    @property
    def workers(self) -> int:
        """How many are connected."""
        return len(self._running)

    def report(self) -> None:
        """Tells every worker the state of the engine and its models."""
        for connection in self._running:
            connection.send(self._report())

    def _make_connection(self) -> Connection:
        return Connection(self._on_open, self._on_message, self._on_close)

    def _on_open(self, connection: Connection) -> None:
        self._running[connection] = {}
        connection.send(self._report())

    def _on_close(self, connection: Connection) -> None:
        for task in self._running.pop(connection).values():
            task.cancel()

    def _on_message(self, connection: Connection, message: AnyMessage) -> None:
        tasks = self._running[connection]
        if isinstance(message, Cancel):
            if (task := tasks.get(message.id)) is not None:
                task.cancel()
        elif isinstance(message, Infer | Generate):
            task = asyncio.create_task(self._answer(connection, message))
            tasks[message.id] = task
            task.add_done_callback(lambda _: tasks.pop(message.id, None))

    async def _answer(self, connection: Connection, message: Infer | Generate) -> None:
        try:
            if isinstance(message, Infer):
                connection.send(await self._infer(message))
            else:
                async with aclosing(self._engine.generate(generation_of(message))) as tokens:
                    async for token in tokens:
                        connection.send(Token(message.id, token))
        except TagwerkError as error:
            connection.send(failed(message.id, error))

    async def _infer(self, message: Infer) -> Done:
        key = ModelKey(message.name, message.version)
        examples = [unpack(example) for example in message.examples]
        deadline = time.monotonic() + message.timeout_seconds
        request = Inference(key, examples, deadline, frozenset(message.further), message.begun)
        outcome = await self._engine.infer(request)
        outputs = [pack(output) for output in outcome.outputs]
        return Done(message.id, outputs, outcome.queue_seconds, outcome.inference_seconds, outcome.batch_size)

    def _report(self) -> Report:
        state = State.SUPERSEDED if self.superseded else self._engine.state()
        return report(state, self._engine.models())


def generation_of(message: Generate) -> Generation:
    """Reads a Generate."""
    return Generation(
        model=ModelKey(message.name, message.version),
        prompt=np.frombuffer(message.prompt, np.int32),
        max_tokens=message.max_tokens,
        temperature=message.temperature,
        top_k=message.top_k,
        top_p=message.top_p,
        seed=message.seed,
        deadline=time.monotonic() + message.timeout_seconds,
        logprobs=message.logprobs,
        at_once=message.at_once,
    )

"""Computes requests once that are identical and in flight at the same time."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from service.engine.protocol import Engine, Generation, Inference, ModelState, Outcome, Sampled, State
from service.errors import DeadlineExceeded

Key = tuple[object, ...]


@dataclass(slots=True, eq=False)
class Shared:
    """A computation and how many wait for it."""

    task: asyncio.Task[Outcome]
    deadline: float
    waiters: int = 0


class SharingEngine:
    """Engine in front of another. Requests for the same outputs of a model for the same arrays are computed once.

    Each keeps its own deadline, and may go; the computation goes on as long as anybody waits for it. Its own deadline
    is that of the first who asked: where that passes, those who have time left begin anew.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._in_flight: dict[Key, Shared] = {}

    def state(self) -> State:
        """Says whether the engine takes requests."""
        return self._engine.state()

    def models(self) -> Sequence[ModelState]:
        """Lists the model versions that it has, or refused."""
        return self._engine.models()

    async def start(self, on_change: Callable[[], None]) -> None:
        """Starts the engine; see `Engine.start`."""
        await self._engine.start(on_change)

    async def infer(self, request: Inference) -> Outcome:
        """Runs all examples of a request, or waits for another that does; see `Engine.infer`."""
        key = key_of(request)
        while True:
            shared = self._in_flight.get(key) or self._begin(key, request)
            shared.waiters += 1
            try:
                # One who has as much time as the computation hears from that how the time went.
                sooner = request.deadline < shared.deadline
                async with asyncio.timeout(request.deadline - self._clock() if sooner else None):
                    return await asyncio.shield(shared.task)
            except TimeoutError:
                raise DeadlineExceeded("the deadline passed before the answer was there") from None
            except DeadlineExceeded:
                if self._clock() >= request.deadline:
                    raise
            finally:
                shared.waiters -= 1
                if not shared.waiters:
                    self._forget(key, shared)
                    shared.task.cancel()

    def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the generated tokens; see `Engine.generate`. Texts are not shared."""
        return self._engine.generate(request)

    def cut_texts(self) -> None:
        """Lets the texts that are being generated end where they are; see `Engine.cut_texts`."""
        self._engine.cut_texts()

    async def close(self) -> None:
        """Closes the engine; see `Engine.close`."""
        await self._engine.close()

    def _begin(self, key: Key, request: Inference) -> Shared:
        task = asyncio.create_task(self._engine.infer(request))
        shared = self._in_flight[key] = Shared(task, request.deadline)
        shared.task.add_done_callback(lambda task: self._forget(key, shared))
        return shared

    def _forget(self, key: Key, shared: Shared) -> None:
        if self._in_flight.get(key) is shared:
            del self._in_flight[key]


def key_of(request: Inference) -> Key:
    """Returns what is equal for requests with equal answers."""
    arrays = (
        (name, array.dtype.str, array.shape, array.tobytes())
        for example in request.examples
        for name, array in example.items()
    )
    return (request.model, request.further, len(request.examples), *arrays)

"""The exposition of the metrics, shared by the requests that wait for it."""

import asyncio

from service.telemetry.metrics import Metrics


class Exposition:
    """Writes the metrics one exposition at a time, in a thread: each takes tens of milliseconds.

    Requests that arrive while one is written share the next one, however many they are.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._writing = asyncio.Lock()
        self._next: asyncio.Task[bytes] | None = None  # not begun

    async def get(self) -> bytes:
        """Returns an exposition that has begun after the call."""
        if self._next is None:
            self._next = asyncio.create_task(self._write())
        return await asyncio.shield(self._next)

    async def _write(self) -> bytes:
        async with self._writing:
            self._next = None
            self._metrics.flush()
            return await asyncio.to_thread(self._metrics.exposition)

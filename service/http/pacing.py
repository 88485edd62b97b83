"""Sends refusals at a bounded rate.

A client that is refused may come again at once. If each refusal were sent at once, too, a few such clients would take
all of the worker's time, and with it the processor that an engine needs to start again. So refusals wait for the next
slice of time, and each slice sends a bounded number of them; their clients wait as long, and so send no more.
"""

import asyncio
from collections import deque
from collections.abc import Callable

SLICE_SECONDS = 0.05
SLICE_REFUSALS = 50  # that a slice sends; one costs some 100 µs in all, so that refusing takes a tenth of the time
LATEST_SLICES = 5  # after which a refusal is sent, however many there are


class PacedRefusals:
    """Sends refusals in slices of time."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()  # the slice it came in, what sends it
        self._slice = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, send: Callable[[], None]) -> None:
        """Has `send` called in the next slice that has room, at the latest in the fifth from now."""
        self._waiting.append((self._slice, send))
        self._schedule()

    def send_due(self) -> None:
        """Sends what this slice may, the oldest first; what is added meanwhile is for the next."""
        self._timer = None
        self._slice += 1
        sent = 0
        try:
            while self._waiting and self._waiting[0][0] < self._slice:
                since, send = self._waiting[0]
                if sent >= SLICE_REFUSALS and since > self._slice - LATEST_SLICES:
                    break
                self._waiting.popleft()
                sent += 1
                send()
        finally:
            if self._waiting:
                self._schedule()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SLICE_SECONDS, self.send_due)

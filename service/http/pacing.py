"""Sends refusals at a bounded rate.

A refused client may retry at once. Immediate refusals would let a few such clients use up the worker's processor time,
which a restarting engine needs too. So refusals wait for the next time slice, each slice sends a bounded number, and
clients that wait for them send no more meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable

SLICE_SECONDS = 0.05
SLICE_REFUSALS = 50  # per slice; at some 100 µs each, refusing takes a tenth of the time
LATEST_SLICES = 5  # after which a refusal is sent even if its slice is full


class PacedRefusals:
    """Sends refusals in time slices."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()  # the slice of arrival, what sends it
        self._slice = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, send: Callable[[], None]) -> None:
        """Schedules `send` for the next slice with capacity, or the fifth from now."""
        self._waiting.append((self._slice, send))
        self._schedule()

    def send_due(self) -> None:
        """Sends this slice's refusals, oldest first; those added meanwhile belong to the next."""
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

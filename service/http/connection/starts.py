"""Bounds how many requests that go through the application begin in one iteration of the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable

MOST_AT_ONCE = 16  # some 5 ms of documents; a client that others send so many beside waits for no more than that


class Starts:
    """Begins requests at once, as long as few begin in an iteration, otherwise in later iterations, in their order.

    Connections that are read in one iteration may be hundreds, and the tasks of all their requests would run in the
    next one, before anything else is read.
    """

    def __init__(self) -> None:
        self._begun = 0  # in this iteration
        self._waiting: deque[Callable[[], object]] = deque()

    def add(self, begin: Callable[[], object]) -> None:
        """Calls `begin`, which makes the task of a request, now or soon."""
        self._waiting.append(begin)
        if self._begun == 0:
            asyncio.get_running_loop().call_soon(self._go_on)
        self._begin()

    def _begin(self) -> None:
        while self._waiting and self._begun < MOST_AT_ONCE:
            self._begun += 1
            self._waiting.popleft()()

    def _go_on(self) -> None:
        """Called in the iteration after the one in which requests have begun."""
        self._begun = 0
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._go_on)
            self._begin()

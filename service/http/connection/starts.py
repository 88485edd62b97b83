"""Bounds how much of what clients send at once begins in one iteration of the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable

# Requests that go through the application, some 5 ms of documents: a client that others send so many beside waits for
# no more than that.
MOST_AT_ONCE = 16
MOST_FIRST = 64  # first requests of connections that are parsed


class Starts:
    """Begins work at once, as long as little begins in an iteration, otherwise in later iterations, in its order.

    Connections that are read in one iteration may be hundreds, and all that they send would be worked off before
    anything else is read.
    """

    def __init__(self, most: int) -> None:
        """`most` begin in an iteration."""
        self._most = most
        self._begun = 0  # in this iteration
        self._waiting: deque[Callable[[], object]] = deque()

    def add(self, begin: Callable[[], object]) -> bool:
        """Calls `begin`, now or soon; returns whether it has called it."""
        self._waiting.append(begin)
        if self._begun == 0:
            asyncio.get_running_loop().call_soon(self._go_on)
        self._begin()
        return not self._waiting

    def _begin(self) -> None:
        while self._waiting and self._begun < self._most:
            self._begun += 1
            self._waiting.popleft()()

    def _go_on(self) -> None:
        """Called in the iteration after the one in which requests have begun."""
        self._begun = 0
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._go_on)
            self._begin()

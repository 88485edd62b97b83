"""Bounds the requests that begin in an iteration of the event loop, beside the plain ones."""

import asyncio
from collections import deque
from collections.abc import Callable

MOST_STARTS = 16  # in an iteration; each takes some 0.3 ms at once


class TaskStarts:
    """Begins requests in the order in which they arrive, a few in each iteration of the event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._begun = 0  # in this iteration

    def add(self, begin: Callable[[], None]) -> None:
        """Begins a request in this iteration, or in a later one."""
        if self._waiting or self._begun >= MOST_STARTS:
            self._waiting.append(begin)
            return
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._begin)
        self._begun += 1
        begin()

    def _begin(self) -> None:
        """Begins, in the next iteration, as many of those that wait as an iteration may."""
        self._begun = 0
        while self._waiting and self._begun < MOST_STARTS:
            self._begun += 1
            self._waiting.popleft()()
        if self._begun:
            asyncio.get_running_loop().call_soon(self._begin)

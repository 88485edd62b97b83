"""When a failed request is sent again, and how many are under way at the same time.

What the service refuses for lack of capacity (429, 503) it says when to send again; waiting as long costs it little,
and only the deadline ends it. A client that is refused has fewer requests under way from then on, until answers show
that there is room for more. Every other retry is paid from a budget that the client's requests fill, so that a service
that fails gets a fifth more requests at most, not a multiple.
"""

import asyncio
import random
from collections import deque
from types import TracebackType

SHORTEST_SECONDS = 0.05  # the wait before the first retry, which doubles with each
LONGEST_SECONDS = 2.0
JITTER = 0.5  # the share of a wait that is added at random, so that clients do not come back at once
DEPOSIT = 0.2  # of a retry, that each request adds to the budget
FULL = 10.0  # retries
SHRINK = 0.5  # requests fewer under way, per refusal


class Budget:
    """Counts the retries that requests have paid for; starts full."""

    def __init__(self) -> None:
        self._retries = FULL

    def deposit(self) -> None:
        """Adds the share of a request."""
        self._retries = min(FULL, self._retries + DEPOSIT)

    def withdraw(self) -> bool:
        """Takes one retry; returns whether there was one."""
        if self._retries < 1:
            return False
        self._retries -= 1
        return True


class Window:
    """Bounds the requests under way: fewer after each refusal, one more after each round of answers.

    As TCP does with its packets (Jacobson 1988): so all clients of a service find a share of its capacity. An
    asynchronous context manager, entered for each request.

    Args:
        most: requests under way.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = float(most)
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self._under_way >= int(self._size) or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # let in, and cancelled before it ran
                    self._leave()
                raise
        else:
            self._under_way += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def grow(self) -> None:
        """Takes an answer into account."""
        self._size = min(self._most, self._size + 1 / self._size)

    def shrink(self) -> None:
        """Takes a refusal into account. Refusals come by the window: each takes its share of a reduction by half."""
        self._size = max(1.0, self._size - SHRINK)

    def _leave(self) -> None:
        self._under_way -= 1
        while self._waiting and self._under_way < int(self._size):
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)


def backoff(attempt: int) -> float:
    """Returns the seconds to wait after a failed attempt, the first of which is 0, where the service says nothing."""
    return jittered(min(LONGEST_SECONDS, SHORTEST_SECONDS * 2.0**attempt))


def jittered(seconds: float) -> float:
    """Returns the seconds, with up to JITTER of them added."""
    return seconds * random.uniform(1, 1 + JITTER)

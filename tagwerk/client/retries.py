"""When a failed request is sent again, and how soon.

What the service refuses for lack of capacity (429, 503) it says when to send again; waiting as long costs it nothing,
and only the deadline ends it. Every other retry is paid from a budget that the client's requests fill, so that a
service that fails gets a fifth more requests at most, not a multiple.
"""

import asyncio
import random
import time

SHORTEST_SECONDS = 0.05  # the wait before the first retry, which doubles with each
LONGEST_SECONDS = 2.0
JITTER = 0.5  # the share of a wait that is added at random, so that clients do not come back at once
DEPOSIT = 0.2  # of a retry, that each request adds to the budget
FULL = 10.0  # retries


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


class Pause:
    """Holds back all requests of a client while the service has no capacity."""

    def __init__(self) -> None:
        self._until = 0.0

    def extend(self, seconds: float) -> None:
        """Holds requests back for so long from now on."""
        self._until = max(self._until, time.monotonic() + seconds)

    async def wait(self) -> None:
        """Waits until requests may be sent, each a little longer than the other."""
        while (left := self._until - time.monotonic()) > 0:  # noqa: ASYNC110 (the moment is known)
            await asyncio.sleep(jittered(left))


def backoff(attempt: int) -> float:
    """Returns the seconds to wait after a failed attempt, the first of which is 0, where the service says nothing."""
    return jittered(min(LONGEST_SECONDS, SHORTEST_SECONDS * 2.0**attempt))


def jittered(seconds: float) -> float:
    """Returns the seconds, with up to JITTER of them added."""
    return seconds * random.uniform(1, 1 + JITTER)

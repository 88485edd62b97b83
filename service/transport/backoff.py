"""How long to wait before the next attempt to connect."""

from collections.abc import Callable

FIRST_SECONDS = 0.05
LONGEST_SECONDS = 1.0


class Backoff:
    """Doubles the pause with each attempt that came to nothing."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = FIRST_SECONDS
        self._attempted = clock()

    def attempt(self) -> None:
        """Notes that an attempt begins."""
        self._attempted = self._clock()

    def pause_seconds(self) -> float:
        """Returns how long to wait now that the attempt has failed, or what it led to is over.

        Something that lasted for longer than the longest pause begins anew with the shortest.
        """
        if self._clock() - self._attempted > LONGEST_SECONDS:
            self._next = FIRST_SECONDS
        pause, self._next = self._next, min(2 * self._next, LONGEST_SECONDS)
        return pause

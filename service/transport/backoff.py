"""Exponential backoff between connection attempts."""

from collections.abc import Callable

FIRST_SECONDS = 0.05
LONGEST_SECONDS = 1.0


class Backoff:
    """Doubles the delay after each failed attempt, up to a maximum."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = FIRST_SECONDS
        self._attempted = clock()

    def attempt(self) -> None:
        """Records the start of an attempt."""
        self._attempted = self._clock()

    def pause_seconds(self) -> float:
        """Returns the delay before the next attempt.

        Resets to the first delay if the connection lasted longer than the longest one.
        """
        if self._clock() - self._attempted > LONGEST_SECONDS:
            self._next = FIRST_SECONDS
        pause, self._next = self._next, min(2 * self._next, LONGEST_SECONDS)
        return pause

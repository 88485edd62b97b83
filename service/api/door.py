"""The door of a worker: while the engine's queue is known to be full, requests are refused before they are read.

What a refusal costs is taken from those who are accepted. One by the engine costs as much as half an answer: the body
is parsed, tokenized, encoded and sent there. So the first tells how full the queue is, and the door stays shut for a
part of the time that the queue takes, in which it cannot become empty.
"""

import time
from collections.abc import Callable

from service.errors import Overloaded
from service.metrics import Metrics
from service.settings import Settings

SHUT_SHARE = 0.1  # of the time that the queue takes
MOST_SHUT_SECONDS = 0.1
SMALL_SHARE = 0.05  # of the queue: where so small a request has no room, hardly any has
QUEUED = frozenset({"/tag", "/classify"})  # the routes whose work waits in that queue


class Door:
    """Knows for how long to refuse."""

    def __init__(self, settings: Settings, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._small_tokens = SMALL_SHARE * settings.max_queue_tokens
        self._small_sequences = SMALL_SHARE * settings.max_queue_entries
        self._metrics = metrics
        self._clock = clock
        self._shut_until = 0.0
        self._refusal = Overloaded("the queue is full", 0.0)

    def no_room(self, refusal: Overloaded, sequences: int, tokens: int) -> None:
        """Notes that the queue had no room for a request of that size."""
        if sequences <= self._small_sequences and tokens <= self._small_tokens:
            self._shut_until = self._clock() + min(SHUT_SHARE * refusal.retry_after_seconds, MOST_SHUT_SECONDS)
            self._refusal = refusal

    def enter(self, route: str) -> None:
        """Lets a request to a route in. Raises Overloaded, as the engine did."""
        if self._clock() < self._shut_until and route in QUEUED:
            self._metrics.rejected.labels("overloaded").inc()
            raise Overloaded(str(self._refusal), self._refusal.retry_after_seconds)

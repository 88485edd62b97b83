"""The door of a worker: while the engine's queue is known to be full, requests are refused before they are read.

What a refusal costs is taken from those who are accepted, and one by the engine costs as much as an answer costs the
worker: the body is parsed, tokenized, encoded and sent. So a worker counts who is inside, and for how many of them it
has asked the engine. When the engine refuses one, it knows for how many there was room, and refuses who comes beyond
that by itself. The room that it believes in grows while it is the engine that those inside wait for, so that it asks
the engine now and then, and has more where there is more; what is before the engine meanwhile keeps it busy.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from service.errors import Overloaded
from service.metrics import Metrics
from service.settings import Settings

HOLD_SECONDS, DOUBLING_SECONDS = 0.05, 4.0  # after a refusal the room stays as it is, and then grows
FORGET_SECONDS = 5.0
LEAST_ROOM = 8  # requests; others may have filled the queue
SMALL_SHARE = 0.05  # of the queue: where so small a request has no room, hardly any has
ROUTES = frozenset({"/tag", "/classify"})  # those whose work waits in that queue


class Asked(NamedTuple):
    """What was so when the engine was asked for a request."""

    under_way: int  # for which it had been asked and had not answered
    lessons: int  # that its refusals had taught


class Door:
    """Knows for how many requests there was room.

    Attributes:
        inside: requests to its routes that are not answered yet; whoever lets one in or out counts it.
    """

    def __init__(self, settings: Settings, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._small_tokens = SMALL_SHARE * settings.max_queue_tokens
        self._small_sequences = SMALL_SHARE * settings.max_queue_entries
        self._metrics = metrics
        self._clock = clock
        self._room = math.inf  # when the engine last refused
        self._refused = 0.0  # the moment of that
        self._lessons = 0
        self._under_way = 0
        self.inside = 0
        self.refusal = Overloaded("the queue is full", 0.0)
        self.answer: tuple[bytes, bytes] | None = None  # to those who are turned away, see `Connection`

    @property
    def shut(self) -> bool:
        """Says whether the engine would refuse one more."""
        if self.inside < self._room:
            return False
        since = self._clock() - self._refused
        if since >= FORGET_SECONDS:  # those inside may be slow to send, and have left the engine long ago
            return False
        if self._under_way < self._room / 2:  # it is this worker that has no time for more, not the engine
            return True
        return self.inside >= self._room * 2 ** (max(0.0, since - HOLD_SECONDS) / DOUBLING_SECONDS)

    def check(self, route: str) -> None:
        """Raises Overloaded, as the engine did, for a request that is inside already and for which there is no room."""
        if route in ROUTES and self.inside - 1 >= self._room and self.shut:
            self._metrics.rejected.labels("overloaded").inc()
            raise Overloaded(str(self.refusal), self.refusal.retry_after_seconds)

    @contextmanager
    def asking(self) -> Iterator[Asked]:
        """The engine is asked in the block."""
        asked = Asked(self._under_way, self._lessons)
        self._under_way += 1
        try:
            yield asked
        finally:
            self._under_way -= 1

    def no_room(self, refusal: Overloaded, sequences: int, tokens: int, asked: Asked) -> None:
        """Learns from the engine's refusal of a request of that size.

        Of many that it is asked for in one turn, it refuses all from the first for which it has no room; that one tells
        how much there was.
        """
        small = sequences <= self._small_sequences and tokens <= self._small_tokens
        if small and asked.lessons == self._lessons:
            self._lessons += 1
            self._room = max(asked.under_way, LEAST_ROOM)
            self._refused, self.refusal, self.answer = self._clock(), refusal, None

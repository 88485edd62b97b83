"""The door of a worker: while the engine's queue is known to be full, requests are refused before they are read.

What a refusal costs is taken from those who are accepted, and one by the engine costs as much as an answer costs the
worker: the body is parsed, tokenized, encoded and sent. So a worker counts who is inside. When the engine refuses one
of them, it says how many wait there; for so many there is room, and who comes beyond that is refused at the door. The
room grows with each answer, so that the engine is asked now and then, and has more where there is more; but not with
one that waited for this worker longer than for the engine: more inside would not make the engine do more.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from service.errors import Overloaded
from service.metrics import Metrics
from service.settings import Settings

GROWTH = 0.1  # of the room, in requests, with an answer
LEAST_ROOM = 8  # requests; others may have filled the queue
SMALL_SHARE = 0.05  # of the queue: where so small a request has no room, hardly any has
ROUTES = frozenset({"/tag", "/classify"})  # those whose work waits in that queue


class Asked(NamedTuple):
    """What was so when the engine was asked for a request."""

    moment: float
    under_way: int  # for which it had been asked and had not answered
    lessons: int  # that its refusals had taught


class Door:
    """Knows for how many requests there is room.

    Attributes:
        inside: requests to its routes that have arrived and are not answered yet; whoever lets one in or out counts it.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._small_tokens = SMALL_SHARE * settings.max_queue_tokens
        self._small_sequences = SMALL_SHARE * settings.max_queue_entries
        self._metrics = metrics
        self._room = math.inf
        self._lessons = 0
        self._under_way = 0
        self.inside = 0
        self.refusal = Overloaded("the queue is full", 0.0)
        self.answer: tuple[bytes, bytes] | None = None  # to those who are turned away, see `Connection`

    @property
    def shut(self) -> bool:
        """Says whether there is no room for one more."""
        return self.inside >= self._room

    def check(self, route: str) -> None:
        """Raises Overloaded, as the engine did, for a request that is inside already and for which there is no room."""
        if route in ROUTES and self.inside - 1 >= self._room:
            self._metrics.rejected.labels("overloaded").inc()
            raise Overloaded(str(self.refusal), self.refusal.retry_after_seconds)

    @contextmanager
    def asking(self) -> Iterator[Asked]:
        """The engine is asked in the block."""
        asked = Asked(time.monotonic(), self._under_way, self._lessons)
        self._under_way += 1
        try:
            yield asked
        finally:
            self._under_way -= 1

    def answered(self, engine_seconds: float, asked: Asked) -> None:
        """Learns from an answer of the engine, which had the request for so long."""
        crowded = self.inside >= self._room / 2
        if not crowded or engine_seconds >= (time.monotonic() - asked.moment) / 2:
            self._room += GROWTH

    def no_room(self, refusal: Overloaded, sequences: int, tokens: int, asked: Asked) -> None:
        """Learns from the engine's refusal of a request of that size.

        Of many that it is asked for in one turn, it refuses all from the first for which it has no room; that one tells
        how much there was. It may be others' requests that wait there.
        """
        small = sequences <= self._small_sequences and tokens <= self._small_tokens
        if small and asked.lessons == self._lessons:
            self._lessons += 1
            self._room = max(min(asked.under_way, refusal.waiting), LEAST_ROOM)
            self.refusal, self.answer = refusal, None

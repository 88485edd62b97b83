"""Load shedding: which requests a worker refuses before it reads them.

What a refusal costs is taken from those that are accepted, and one by the engine costs as much as an answer costs the
worker: the body is parsed, tokenized, encoded and sent. So a worker counts the requests that it has admitted. When the
engine rejects one of them, it says how many wait there; that many are the limit, and the requests beyond it are refused
unread. The limit rises with each answer, so that the engine is asked now and then, and is higher where there is more
capacity; but not with an answer that waited for this worker longer than for the engine: admitting more would not make
the engine do more. While the engine takes no requests at all, all of them are refused.
"""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from service.errors import EngineUnavailable, Overloaded, TagwerkError
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import State

LIMIT_STEP = 0.1  # by which an answer raises the limit, in requests
LOWEST_LIMIT = 8  # requests; other workers may have filled the queue
SMALL_SHARE = 0.05  # of the queue: where so small a request does not fit, hardly any does
QUEUED_ROUTES = frozenset({"/tag", "/classify"})  # those whose sequences wait in that queue
ENGINE_ROUTES = QUEUED_ROUTES | {"/generate", "/v1/completions"}  # POST to these needs the engine, and to
_INFER = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/infer")  # these


def engine_route(path: str) -> str | None:
    """Returns the route of a path whose POST needs the engine, as the metrics name it; None for any other path."""
    if path in ENGINE_ROUTES:
        return path
    if (found := _INFER.fullmatch(path)) is not None:
        return "/v2/models/{name}/versions/{version}/infer" if found[1] else "/v2/models/{name}/infer"
    return None


class Snapshot(NamedTuple):
    """What held when a request was sent to the engine."""

    moment: float
    under_way: int  # requests sent to the engine and not answered
    rejections: int  # that had set the limit until then


class Admission:
    """Counts one request in and out, each at most once, in whatever order its body and its answer end."""

    __slots__ = ("_counted", "_ended", "_shedder")

    def __init__(self, shedder: "LoadShedder") -> None:
        self._shedder = shedder
        self._counted = self._ended = False

    def begin(self) -> None:
        """Counts the request, which has arrived. One that was answered before is not counted."""
        if not self._counted and not self._ended:
            self._counted = True
            self._shedder.admitted += 1

    def end(self) -> None:
        """Counts the request no longer: it is answered, or its connection is lost."""
        if self._counted and not self._ended:
            self._shedder.admitted -= 1
        self._ended = True


class LoadShedder:
    """Knows how many requests a worker may have admitted at the same time.

    Attributes:
        admitted: requests to QUEUED_ROUTES that have arrived and are not answered; changed by `Admission` alone.
    """

    def __init__(self, settings: Settings, metrics: Metrics, engine_state: Callable[[], State]) -> None:
        self._small_tokens = SMALL_SHARE * settings.max_queue_tokens
        self._small_sequences = SMALL_SHARE * settings.max_queue_entries
        self._metrics = metrics
        self._engine_state = engine_state
        self._limit = math.inf
        self._rejections = 0
        self._under_way = 0
        self._rejection = Overloaded("the queue is full", 0.0)
        self._unavailable = {state: EngineUnavailable(f"the engine is {state}") for state in State}
        self.admitted = 0

    @property
    def full(self) -> bool:
        """True where one more request would be over the limit."""
        return self.admitted >= self._limit

    @property
    def active(self) -> bool:
        """True while some requests are refused; cheaper than to ask for each."""
        return self.admitted >= self._limit or self._engine_state() is not State.READY

    def refusal(self, route: str) -> TagwerkError | None:
        """Returns why a POST to a route is refused unread, or None. The same error object stands for many requests."""
        if (state := self._engine_state()) is not State.READY:
            return self._unavailable[state]
        return self._rejection if route in QUEUED_ROUTES and self.full else None

    def admission(self) -> Admission:
        """Returns what counts a request to one of QUEUED_ROUTES."""
        return Admission(self)

    def count(self, refusal: TagwerkError) -> None:
        """Counts a request that was refused unread."""
        if isinstance(refusal, Overloaded):
            self._metrics.rejected.labels("overloaded").inc()

    def check(self, route: str) -> None:
        """Raises Overloaded, as the engine did, for a request that is counted already and is over the limit."""
        if route in QUEUED_ROUTES and self.admitted - 1 >= self._limit:
            self.count(self._rejection)
            raise Overloaded(str(self._rejection), self._rejection.retry_after_seconds)

    @contextmanager
    def sending(self) -> Iterator[Snapshot]:
        """Counts the request that is with the engine during the block."""
        snapshot = Snapshot(time.monotonic(), self._under_way, self._rejections)
        self._under_way += 1
        try:
            yield snapshot
        finally:
            self._under_way -= 1

    def note_answer(self, engine_seconds: float, snapshot: Snapshot) -> None:
        """Raises the limit after an answer of the engine, which had the request for so long."""
        crowded = self.admitted >= self._limit / 2
        if not crowded or engine_seconds >= (time.monotonic() - snapshot.moment) / 2:
            self._limit += LIMIT_STEP

    def note_rejection(self, rejection: Overloaded, sequences: int, tokens: int, snapshot: Snapshot) -> None:
        """Sets the limit after the engine rejected a request of that size.

        Of many that are sent in one turn of the event loop, the engine rejects all from the first that does not fit;
        that one tells how many did. Some of those that wait there may be other workers'.
        """
        small = sequences <= self._small_sequences and tokens <= self._small_tokens
        if small and snapshot.rejections == self._rejections:
            self._rejections += 1
            self._limit = max(min(snapshot.under_way, rejection.waiting), LOWEST_LIMIT)
            # Without the frames of the request that was rejected, which a raised error holds.
            self._rejection = Overloaded(str(rejection), rejection.retry_after_seconds)

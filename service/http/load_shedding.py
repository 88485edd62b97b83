"""Load shedding: refuses requests above the worker's limit before their bodies are read.

A rejection by the engine costs the worker as much as an answer: parsing, tokenizing, encoding, sending. So the worker
counts the requests that it has admitted. When the engine rejects one, it reports how many are waiting; that number
becomes the limit, and requests above it are refused unread. Each answer raises the limit slightly, so that the worker
probes for more capacity; but not if the request spent more time in the worker than in the engine, since then the
worker is the bottleneck. While the engine accepts no requests, all are refused; while it still loads the models of a
task, the requests for that.
"""

import math
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from service.errors import EngineUnavailable, Overloaded, TagwerkError
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import State

LIMIT_STEP = 0.1  # requests that an answer adds to the limit
LOWEST_LIMIT = 8  # requests; the queue may be full of other workers' requests
SMALL_SHARE = 0.05  # of the queue: a rejected request smaller than this shows that the queue is full
QUEUED_ROUTES = frozenset({"/tag", "/classify"})  # routes whose sequences use that queue
TASKS = {"/tag": "tag", "/classify": "classify", "/generate": "generate", "/v1/completions": "generate"}
ENGINE_ROUTES = TASKS.keys()  # routes whose POST needs the engine, as do
LOADING = EngineUnavailable("the models for this are still being loaded")
_INFER = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/infer")  # these


def engine_route(path: str) -> str | None:
    """Returns the route template of a path whose POST needs the engine; None for any other path."""
    if path in ENGINE_ROUTES:
        return path
    if (found := _INFER.fullmatch(path)) is not None:
        return "/v2/models/{name}/versions/{version}/infer" if found[1] else "/v2/models/{name}/infer"
    return None


class Snapshot(NamedTuple):
    """The load shedder's state when a request was sent to the engine."""

    moment: float
    under_way: int  # requests sent to the engine and not answered
    rejections: int  # that had set the limit until then


class Admission:
    """Counts one request in and out, each at most once, in either order."""

    __slots__ = ("_counted", "_ended", "_shedder")

    def __init__(self, shedder: "LoadShedder") -> None:
        self._shedder = shedder
        self._counted = self._ended = False

    def begin(self) -> None:
        """Counts the request once it has arrived, unless it has ended before."""
        if not self._counted and not self._ended:
            self._counted = True
            self._shedder.admitted += 1

    def end(self) -> None:
        """Ends the count: the request is answered, or its connection is lost."""
        if self._counted and not self._ended:
            self._shedder.admitted -= 1
        self._ended = True


class LoadShedder:
    """Limits the number of requests that a worker has admitted at the same time.

    Attributes:
        admitted: requests to QUEUED_ROUTES that have arrived and are not answered; changed only by `Admission`.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        engine_state: Callable[[], State],
        loading: Callable[[], Collection[str]] = lambda: (),
    ) -> None:
        """`loading` returns the tasks whose models are still being loaded."""
        self._small_tokens = SMALL_SHARE * settings.max_queue_tokens
        self._small_sequences = SMALL_SHARE * settings.max_queue_entries
        self._metrics = metrics
        self._engine_state = engine_state
        self._loading = loading
        self._limit = math.inf
        self._rejections = 0
        self._under_way = 0
        self._rejection = Overloaded("the queue is full", 0.0)
        self._unavailable = {state: EngineUnavailable(f"the engine is {state}") for state in State}
        self.admitted = 0

    @property
    def full(self) -> bool:
        """True if one more request would exceed the limit."""
        return self.admitted >= self._limit

    @property
    def active(self) -> bool:
        """True while some requests are refused; a cheap check before `refusal`."""
        return self.admitted >= self._limit or self._engine_state() is not State.READY or bool(self._loading())

    def refusal(self, route: str) -> TagwerkError | None:
        """Returns the error with which a POST to a route is refused unread, or None. The error object is reused."""
        if (state := self._engine_state()) is not State.READY:
            return self._unavailable[state]
        if TASKS.get(route) in self._loading():
            return LOADING
        return self._rejection if route in QUEUED_ROUTES and self.full else None

    def admission(self) -> Admission:
        """Returns the admission of a request to one of QUEUED_ROUTES."""
        return Admission(self)

    def count(self, refusal: TagwerkError) -> None:
        """Counts a request that was refused unread."""
        if isinstance(refusal, Overloaded):
            self._metrics.rejected.labels("overloaded").inc()

    def check(self, route: str) -> None:
        """Raises Overloaded if the limit is exceeded by a request that is already counted."""
        if route in QUEUED_ROUTES and self.admitted - 1 >= self._limit:
            self.count(self._rejection)
            raise Overloaded(str(self._rejection), self._rejection.retry_after_seconds)

    @contextmanager
    def sending(self) -> Iterator[Snapshot]:
        """Counts a request as being at the engine during the block."""
        snapshot = Snapshot(time.monotonic(), self._under_way, self._rejections)
        self._under_way += 1
        try:
            yield snapshot
        finally:
            self._under_way -= 1

    def note_answer(self, engine_seconds: float, snapshot: Snapshot) -> None:
        """Raises the limit after an answer that the engine took `engine_seconds` for."""
        busy = self.admitted >= self._limit / 2
        if not busy or engine_seconds >= (time.monotonic() - snapshot.moment) / 2:
            self._limit += LIMIT_STEP

    def note_rejection(self, rejection: Overloaded, sequences: int, tokens: int, snapshot: Snapshot) -> None:
        """Sets the limit after the engine has rejected a request of that size.

        Of requests sent together, the engine rejects all from the first that does not fit; `waiting` of that one says
        how many did, other workers' included.
        """
        small = sequences <= self._small_sequences and tokens <= self._small_tokens
        if small and snapshot.rejections == self._rejections:
            self._rejections += 1
            self._limit = max(min(snapshot.under_way, rejection.waiting), LOWEST_LIMIT)
            # A new object: the raised error holds the frames of the rejected request.
            refused = f"{rejection}; until it has room, further requests are refused unread"
            self._rejection = Overloaded(refused, rejection.retry_after_seconds)

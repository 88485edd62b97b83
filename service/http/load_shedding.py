"""Load shedding: refuses requests above the worker's limit before their bodies are read.

A rejection by the engine costs the worker as much as an answer: parsing, tokenizing, encoding, sending. So the worker
counts the requests that it has admitted, by client. When the engine rejects one, it reports how many are waiting; that
number becomes the client's limit, and requests above it are refused unread. Each answer raises the limit slightly, so
that the worker probes for more capacity; but not if the request spent more time in the worker than in the engine, since
then the worker is the bottleneck. While the engine accepts no requests, all are refused; while it still loads the
models of a task, the requests for that.
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
MOST_LIMITS = 64  # clients, above which the limits of idle clients are removed
LOWEST_LIMIT = 8  # requests; the queue may be full of other workers' requests
SMALL_SHARE = 0.05  # of the queue: a rejected request smaller than this shows that the queue is full
QUEUED_ROUTES = frozenset({"/tag", "/classify"})  # routes whose sequences wait in the engine's queue
TASKS = {"/tag": "tag", "/classify": "classify", "/generate": "generate", "/v1/completions": "generate"}
ENGINE_ROUTES = TASKS.keys()  # Their POST needs the engine, and so does that of paths that _INFER matches.
LOADING = EngineUnavailable("the models for this are still being loaded")
_INFER = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/infer")


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


class Limit:
    """Limits the number of requests of a client that a worker has admitted at the same time.

    Attributes:
        admitted: requests to QUEUED_ROUTES that have arrived and are not answered; changed only by `Admission`.
        rejection: the error with which further ones are refused.
    """

    def __init__(self, settings: Settings) -> None:
        self._small_tokens = SMALL_SHARE * settings.max_queue_tokens
        self._small_sequences = SMALL_SHARE * settings.max_queue_entries
        self._most = math.inf
        self._rejections = 0
        self._under_way = 0
        self.rejection = Overloaded("the queue is full", 0.0)
        self.admitted = 0

    @property
    def full(self) -> bool:
        """True if one more request would exceed the limit."""
        return self.admitted >= self._most

    @property
    def exceeded(self) -> bool:
        """True if a request that is already counted exceeds the limit."""
        return self.admitted - 1 >= self._most

    @property
    def idle(self) -> bool:
        """True if no request is in progress."""
        return not self.admitted and not self._under_way

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
        busy = self.admitted >= self._most / 2
        if not busy or engine_seconds >= (time.monotonic() - snapshot.moment) / 2:
            self._most += LIMIT_STEP

    def note_rejection(self, rejection: Overloaded, sequences: int, tokens: int, snapshot: Snapshot) -> None:
        """Sets the limit after the engine has rejected a request of that size.

        Of requests sent together, the engine rejects all from the first that does not fit; `waiting` of that one says
        how many did, other workers' included.
        """
        small = sequences <= self._small_sequences and tokens <= self._small_tokens
        if small and snapshot.rejections == self._rejections:
            self._rejections += 1
            self._most = max(min(snapshot.under_way, rejection.waiting), LOWEST_LIMIT)
            # A new object: the raised error holds the frames of the rejected request.
            refused = f"{rejection}; further requests are rejected before their bodies are read until capacity is free"
            self.rejection = Overloaded(refused, rejection.retry_after_seconds)


class Admission:
    """Counts one request in and out, each at most once, in either order."""

    __slots__ = ("_counted", "_ended", "_limit")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._counted = self._ended = False

    def begin(self) -> None:
        """Counts the request once it has arrived, unless it has ended before."""
        if not self._counted and not self._ended:
            self._counted = True
            self._limit.admitted += 1

    def end(self) -> None:
        """Ends the count: the request is answered, or its connection is lost."""
        if self._counted and not self._ended:
            self._limit.admitted -= 1
        self._ended = True


class LoadShedder:
    """Decides which requests are refused before their bodies are read.

    Each client has its own limit, as it has its share of the queue.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        engine_state: Callable[[], State],
        loading: Callable[[], Collection[str]] = lambda: (),
    ) -> None:
        """`loading` returns the tasks whose models are still being loaded."""
        self._settings = settings
        self._metrics = metrics
        self._engine_state = engine_state
        self._loading = loading
        self._limits: dict[int, Limit] = {}  # by client
        self._unavailable = {state: EngineUnavailable(f"the engine is {state}") for state in State}

    def limit_of(self, client: int) -> Limit:
        """Returns the limit of a client. Removes those of idle clients when there are many."""
        if (limit := self._limits.get(client)) is None:
            if len(self._limits) >= MOST_LIMITS:
                self._limits = {other: limit for other, limit in self._limits.items() if not limit.idle}
            limit = self._limits[client] = Limit(self._settings)
        return limit

    @property
    def active(self) -> bool:
        """True while some requests are refused; a cheap check before `refusal`."""
        if self._engine_state() is not State.READY or self._loading():
            return True
        return any(limit.full for limit in self._limits.values())

    def refusal(self, route: str, client: int) -> TagwerkError | None:
        """Returns the error with which a POST to a route is refused unread, or None. The error object is reused."""
        if (state := self._engine_state()) is not State.READY:
            return self._unavailable[state]
        if TASKS.get(route) in self._loading():
            return LOADING
        limit = self.limit_of(client)
        return limit.rejection if route in QUEUED_ROUTES and limit.full else None

    def admission(self, client: int) -> Admission:
        """Returns the admission of a client's request to one of QUEUED_ROUTES."""
        return Admission(self.limit_of(client))

    def count(self, refusal: TagwerkError) -> None:
        """Counts a request that was refused unread."""
        if isinstance(refusal, Overloaded):
            self._metrics.rejected.labels("overloaded").inc()

    def check(self, route: str, client: int) -> None:
        """Raises Overloaded if a client's limit is exceeded by a request that is already counted."""
        limit = self.limit_of(client)
        if route in QUEUED_ROUTES and limit.exceeded:
            self.count(limit.rejection)
            raise Overloaded(str(limit.rejection), limit.rejection.retry_after_seconds)

"""A queue of sequences by model and length bucket, bounded in sequences and tokens."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from service.engine.padding import Grid
from service.engine.protocol import ANONYMOUS, Requests
from service.errors import Overloaded, TagwerkError
from service.types import Array, ModelKey

SPREAD = 8  # how far a job's sequences are spread: this many long requests leave time for a short one
MAX_RETRY_SECONDS = 60.0  # upper bound of Retry-After


Order = tuple[int, float, int]  # of waiting entries: tokens served to the client, turn, number


class Place(NamedTuple):
    """The location of a sequence's outputs in the arrays of its batch.

    Attributes:
        timed: outputs with a time axis  # each [cells, ...], from `cell` on.
        others: outputs without one  # each [rows, ...], at `row`.
    """

    timed: dict[str, Array]
    others: dict[str, Array]
    row: int
    cell: int


@dataclass(slots=True, eq=False)
class Job:
    """A request in the engine: done when each of its sequences has outputs, or at its first error.

    Attributes:
        requests: the columns that the request came in.
        starts: start of each of its sequences in the values of `requests`.
    """

    requests: Requests
    client: int
    arrived: float
    deadline: float
    lengths: list[int]
    starts: list[int]
    buckets: list[int]
    waiting: list[bool] = field(init=False)  # of each sequence
    places: list[Place | None] = field(init=False)
    remaining: int = field(init=False)  # sequences without outputs
    taken: int = 0  # sequences taken into a batch
    error: TagwerkError | None = None
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0
    batch_size: int = 0  # sequences in the largest of its batches

    def __post_init__(self) -> None:
        self.remaining = len(self.lengths)
        self.waiting = [True] * self.remaining
        self.places = [None] * self.remaining

    @property
    def model(self) -> ModelKey:
        """The requested model version."""
        return self.requests.model

    @property
    def further(self) -> frozenset[str]:
        """The outputs requested besides the default ones."""
        return self.requests.further

    @property
    def done(self) -> bool:
        """True once the job has ended."""
        return self.remaining == 0 or self.error is not None


class Entry(NamedTuple):
    """A sequence in the queue. Entries are ordered by `turn`, then by admission."""

    turn: float
    number: int  # of the admission
    job: Job
    sequence: int  # which of the job's

    @property
    def length(self) -> int:
        """Tokens of the sequence."""
        return self.job.lengths[self.sequence]


@dataclass(slots=True)
class Client:
    """What a client has waiting, and the tokens of its sequences that were taken.

    `served` is on a scale shared by all clients: one that had nothing waiting begins where the client of the last batch
    was before that batch.
    """

    served: int
    entries: int = 0
    tokens: int = 0


class Queue:
    """Bounded priority queues, one per lane (model, bucket) and client. Not thread-safe: the owner holds the lock.

    Of a lane, the client with the least tokens served is next, so that nobody waits behind another's backlog
    (start-time fair queueing, Goyal et al. 1996). Nor does a backlog fill the queue: an API key that has something
    waiting may add as much as there is room left (dynamic thresholds, Choudhury and Hahne 1998), so that alone it
    fills half of the queue, and leaves room for others.

    A job's first entry has its arrival time as its turn. Each further one is later by `SPREAD` times the device time of
    the entries before it, so that a short request behind a long one does not wait for all of it. No entry starves:
    later arrivals get later turns.

    Cancelled entries free their capacity at once, and are removed from their lane when they reach its head. So are
    expired ones; their callers watch the deadline themselves.
    """

    def __init__(self, max_entries: int, max_tokens: int) -> None:
        self.max_entries = max_entries
        self.max_tokens = max_tokens
        self.entries = 0
        self.tokens = 0
        self._admitted = 0
        self._lanes: dict[tuple[ModelKey, int], dict[int, list[Entry]]] = {}  # by client; heaps
        self._waiting: Counter[tuple[ModelKey, int]] = Counter()
        self._clients: dict[int, Client] = {}  # those with something waiting
        self._virtual_time = 0  # tokens served to the client of the last batch, before that

    def put(self, job: Job, tokens_per_second: float, seconds: Callable[[int], float]) -> None:
        """Admits all entries of a job, or none: raises Overloaded if they do not fit.

        Args:
            tokens_per_second: the device's throughput.
            seconds: the device time of a sequence by its length bucket.

        An empty queue admits any request: one above the token bound could never be served otherwise. A request that is
        `begun` is always admitted, since the work done for it would be lost.
        """
        tokens, client = sum(job.lengths), self._clients.get(job.client)
        if self.entries and not job.requests.begun:
            if full := self._exceeded(len(job.lengths), tokens):
                waiting, problem = self.entries, f"the queue is full: {full}"
            elif client is not None and (full := self._share_exceeded(job.client, client, len(job.lengths), tokens)):
                waiting, problem = client.entries, f"the client's share of the queue is full: {full}"
            if full:
                retry_after_seconds = min(self.tokens / tokens_per_second, MAX_RETRY_SECONDS)
                raise Overloaded(problem, retry_after_seconds, waiting)
        if client is None:
            client = self._clients[job.client] = Client(self._virtual_time)
        client.entries += len(job.lengths)
        client.tokens += tokens
        turn, model = job.arrived, job.model
        for index, bucket in enumerate(job.buckets):
            lane = model, bucket
            entries = self._lanes.setdefault(lane, {}).setdefault(job.client, [])
            heapq.heappush(entries, Entry(turn, self._admitted, job, index))
            self._waiting[lane] += 1
            self._admitted += 1
            turn += SPREAD * seconds(bucket)
        self.entries += len(job.lengths)
        self.tokens += tokens

    def _exceeded(self, entries: int, tokens: int) -> str:
        """Says which limit further entries with this many tokens in all exceed; "" if none."""
        if self.entries + entries > self.max_entries:
            return f"{self.entries} of at most {self.max_entries} sequences (TAGWERK_MAX_QUEUE_ENTRIES)"
        if self.tokens + tokens > self.max_tokens:
            return f"{self.tokens} of at most {self.max_tokens} tokens (TAGWERK_MAX_QUEUE_TOKENS)"
        return ""

    def _share_exceeded(self, number: int, client: Client, entries: int, tokens: int) -> str:
        """Says of which limit further entries exceed the room that is left for a client; "" if of none."""
        if number == ANONYMOUS:
            return ""
        if client.entries + entries > self.max_entries - self.entries:
            return f"it has {client.entries} of {self.entries} waiting sequences (TAGWERK_MAX_QUEUE_ENTRIES)"
        if client.tokens + tokens > self.max_tokens - self.tokens:
            return f"it has {client.tokens} of {self.tokens} waiting tokens (TAGWERK_MAX_QUEUE_TOKENS)"
        return ""

    def discard(self, job: Job) -> int:
        """Frees the capacity of a job's waiting entries; returns how many there were."""
        waiting = [index for index, waits in enumerate(job.waiting) if waits]
        for index in waiting:
            self._release(job, index)
        return len(waiting)

    def waiting(self, model: ModelKey, bucket: int) -> int:
        """Returns the number of waiting entries in a lane."""
        return self._waiting[model, bucket]

    def heads(self, now: float) -> Iterator[tuple[int, Entry]]:
        """Yields the bucket and the first entry of each lane, skipping cancelled and expired ones."""
        for lane in list(self._lanes):
            if (entry := self._head(lane, now)) is not None:
                yield lane[1], entry

    def pop(self, model: ModelKey, bucket: int, now: float) -> Entry | None:
        """Removes and returns the first entry of a lane, skipping cancelled and expired ones."""
        entry = self._head((model, bucket), now)
        if entry is not None:
            self._clients[entry.job.client].served += entry.length
            self._release(entry.job, entry.sequence)
        return entry

    def beside_backlog(self, model: ModelKey, client: int, grid: Grid) -> dict[int, int]:
        """Returns how many entries of clients without a backlog each length bucket of a model has, if `client` is one.

        A backlog is as many entries, of all models, as fill a batch. Empty if `client` has one, or nobody. Cancelled
        entries may be counted.
        """
        rows = grid.batch_sizes[-1]
        without = {number for number, waiting in self._clients.items() if waiting.entries < rows}
        if client not in without or len(without) == len(self._clients):
            return {}
        lanes = {length: self._lanes.get((model, length), {}) for length in grid.lengths}
        return {
            length: sum(len(entries) for number, entries in lane.items() if number in without)
            for length, lane in lanes.items()
        }

    def begin_batch(self, served: int) -> None:
        """Notes that a batch is taken whose first client had so many tokens served before."""
        self._virtual_time = served

    def order(self, entry: Entry) -> Order:
        """Returns the key by which waiting entries are ordered."""
        return self._clients[entry.job.client].served, entry.turn, entry.number

    def _head(self, lane: tuple[ModelKey, int], now: float) -> Entry | None:
        if (clients := self._lanes.get(lane)) is None:
            return None
        heads = [head for client in list(clients) if (head := self._head_of(clients, client, now)) is not None]
        if not heads:
            del self._lanes[lane]
            return None
        return heads[0] if len(heads) == 1 else min(heads, key=self.order)

    def _head_of(self, clients: dict[int, list[Entry]], client: int, now: float) -> Entry | None:
        """Returns a client's first entry of a lane."""
        entries = clients[client]
        while entries:
            entry = entries[0]
            job = entry.job
            if job.waiting[entry.sequence] and job.deadline <= now:
                self.discard(job)
            if job.waiting[entry.sequence]:
                return entry
            heapq.heappop(entries)
        del clients[client]
        return None

    def _release(self, job: Job, index: int) -> None:
        job.waiting[index] = False
        self._waiting[job.model, job.buckets[index]] -= 1
        length = job.lengths[index]
        self.entries -= 1
        self.tokens -= length
        client = self._clients[job.client]
        client.entries -= 1
        client.tokens -= length
        if not client.entries:
            del self._clients[job.client]

"""Sequences that wait, by model and length bucket, within bounds on their number and their tokens."""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from service.engine.protocol import Requests
from service.errors import Overloaded, TagwerkError
from service.types import Array, ModelKey

SPREAD = 8  # so many long requests side by side leave room for a short one
MAX_RETRY_SECONDS = 60.0  # a longer wait is not worth foretelling


class Place(NamedTuple):
    """Where the outputs of a sequence are: in the arrays of its batch.

    Attributes:
        timed: outputs with a time axis  # each [cells, ...], from `cell` on.
        others: the outputs without one  # each [rows, ...], at `row`.
    """

    timed: dict[str, Array]
    others: dict[str, Array]
    row: int
    cell: int


@dataclass(slots=True, eq=False)
class Job:
    """A request in the engine: done when each of its sequences has its outputs, or at its first error.

    Attributes:
        requests: those with which it came.
        starts: where each of its sequences begins in the values of `requests`.
    """

    requests: Requests
    arrived: float
    deadline: float
    lengths: list[int]
    starts: list[int]
    buckets: list[int]
    waiting: list[bool] = field(init=False)  # of each sequence
    places: list[Place | None] = field(init=False)
    remaining: int = field(init=False)  # sequences without outputs
    taken: int = 0  # sequences that were batched
    error: TagwerkError | None = None
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0
    batch_size: int = 0  # sequences, of the largest of its batches

    def __post_init__(self) -> None:
        self.remaining = len(self.lengths)
        self.waiting = [True] * self.remaining
        self.places = [None] * self.remaining

    @property
    def model(self) -> ModelKey:
        """The model version that it asks for."""
        return self.requests.model

    @property
    def further(self) -> frozenset[str]:
        """The outputs that it asks for beyond the usual ones."""
        return self.requests.further

    @property
    def done(self) -> bool:
        """True once nothing more will come."""
        return self.remaining == 0 or self.error is not None


class Entry(NamedTuple):
    """A sequence in the queue. Entries run in the order of their turns, those of equal turns in that of admission."""

    turn: float
    number: int  # of the admission
    job: Job
    sequence: int  # which of the job's

    @property
    def length(self) -> int:
        """Tokens of the sequence."""
        return self.job.lengths[self.sequence]


class Queue:
    """Bounded queues, one a lane (model, bucket), in the order of turns. Not thread-safe: its owner holds the lock.

    A job's first entry has its turn at the job's arrival; each further one has it later, by `SPREAD` times what the
    entries of the job before it cost the device. So a short request that arrives behind a long one does not wait for
    all of it, and no entry waits for ever: whatever arrives after its turn comes after it.

    Entries that nobody waits for any more give their place back at once, and leave their lane when they reach its head.
    Those whose deadline has passed are found there; their callers watch the clock themselves and need no word of it.
    """

    def __init__(self, max_entries: int, max_tokens: int) -> None:
        self.max_entries = max_entries
        self.max_tokens = max_tokens
        self.entries = 0
        self.tokens = 0
        self._admitted = 0
        self._lanes: dict[tuple[ModelKey, int], list[Entry]] = {}  # heaps
        self._waiting: Counter[tuple[ModelKey, int]] = Counter()

    def put(self, job: Job, tokens_per_second: float) -> None:
        """Admits all entries of a job, or none: raises Overloaded where they do not fit.

        `tokens_per_second` is what the device does.

        An empty queue takes any request, or one over the bound on tokens could never be served. Any queue takes one
        that is begun, or the work that was done for it would be lost.
        """
        tokens = sum(job.lengths)
        over = self.entries + len(job.lengths) > self.max_entries or self.tokens + tokens > self.max_tokens
        if self.entries and over and not job.requests.begun:
            full = f"the queue is full: {self.entries} sequences, {self.tokens} tokens"
            raise Overloaded(full, min(self.tokens / tokens_per_second, MAX_RETRY_SECONDS), self.entries)
        turn, model = job.arrived, job.model
        for index, (length, bucket) in enumerate(zip(job.lengths, job.buckets, strict=True)):
            lane = model, bucket
            heapq.heappush(self._lanes.setdefault(lane, []), Entry(turn, self._admitted, job, index))
            self._waiting[lane] += 1
            self._admitted += 1
            turn += SPREAD * length / tokens_per_second
        self.entries += len(job.lengths)
        self.tokens += tokens

    def discard(self, job: Job) -> int:
        """Gives back the places of a job's waiting entries; returns how many there were."""
        waiting = [index for index, waits in enumerate(job.waiting) if waits]
        for index in waiting:
            self._release(job, index)
        return len(waiting)

    def waiting(self, model: ModelKey, bucket: int) -> int:
        """Entries of a lane."""
        return self._waiting[model, bucket]

    def heads(self, now: float) -> Iterator[tuple[int, Entry]]:
        """Yields, with the bucket, the entry of each lane whose turn is next, of those that are still waited for."""
        for lane in list(self._lanes):
            if (entry := self._head(lane, now)) is not None:
                yield lane[1], entry

    def pop(self, model: ModelKey, bucket: int, now: float) -> Entry | None:
        """Takes the entry of a lane whose turn is next, of those that are still waited for."""
        entry = self._head((model, bucket), now)
        if entry is not None:
            self._release(entry.job, entry.sequence)
        return entry

    def _head(self, lane: tuple[ModelKey, int], now: float) -> Entry | None:
        entries = self._lanes.get(lane)
        while entries:
            entry = entries[0]
            job = entry.job
            if job.waiting[entry.sequence] and job.deadline <= now:
                self.discard(job)
            if job.waiting[entry.sequence]:
                return entry
            heapq.heappop(entries)
        self._lanes.pop(lane, None)
        return None

    def _release(self, job: Job, index: int) -> None:
        job.waiting[index] = False
        self._waiting[job.model, job.buckets[index]] -= 1
        self.entries -= 1
        self.tokens -= job.lengths[index]

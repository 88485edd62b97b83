"""Entries that wait, by model and length bucket, within bounds on their number and their tokens."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from service.engine.padding import Array, Tensors
from service.engine.protocol import Inference, ModelKey
from service.errors import Overloaded, TagwerkError


@dataclass(slots=True, eq=False)
class Entry:
    """One sequence of a job: the unit that is queued and batched. `order` counts admissions."""

    job: "Job"
    index: int
    example: Tensors
    length: int
    bucket: int
    order: int
    waiting: bool = True


@dataclass(slots=True, eq=False)
class Job:
    """A request in the engine: done when each of its entries has its outputs, or at its first error."""

    request: Inference
    arrived: float
    entries: list[Entry] = field(default_factory=list)
    outputs: list[dict[str, Array]] = field(default_factory=list)
    taken: int = 0  # entries that were batched
    remaining: int = 0  # entries without outputs
    error: TagwerkError | None = None
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0
    batch_size: int = 0  # sequences, of the largest of its batches

    @property
    def done(self) -> bool:
        """True once nothing more will come."""
        return self.remaining == 0 or self.error is not None


class Queue:
    """Bounded queues, one a lane (model, bucket), first in first out. Not thread-safe: its owner holds the lock.

    Entries that nobody waits for any more give their place back at once, and leave their lane when they reach its head.
    Those whose deadline has passed are found there; their callers watch the clock themselves and need no word of it.
    """

    def __init__(self, max_entries: int, max_tokens: int) -> None:
        self.max_entries = max_entries
        self.max_tokens = max_tokens
        self.entries = 0
        self.tokens = 0
        self._admitted = 0
        self._lanes: dict[tuple[ModelKey, int], deque[Entry]] = {}
        self._waiting: Counter[tuple[ModelKey, int]] = Counter()

    def put(self, job: Job, lengths: list[int], buckets: list[int], retry_after_seconds: float) -> None:
        """Admits all entries of a job, or none: raises Overloaded where they do not fit.

        An empty queue takes any request, or one over the bound on tokens could never be served. Any queue takes one
        that is begun, or the work that was done for it would be lost.
        """
        tokens = sum(lengths)
        over = self.entries + len(lengths) > self.max_entries or self.tokens + tokens > self.max_tokens
        if self.entries and over and not job.request.begun:
            full = f"the queue is full: {self.entries} sequences, {self.tokens} tokens"
            raise Overloaded(full, retry_after_seconds, self.entries)
        for index, (length, bucket) in enumerate(zip(lengths, buckets, strict=True)):
            example = job.request.examples[index]
            entry = Entry(job, index, example, length, bucket, self._admitted)
            self._admitted += 1
            job.entries.append(entry)
            self._lanes.setdefault((job.request.model, bucket), deque()).append(entry)
            self._waiting[job.request.model, bucket] += 1
        job.outputs = [{} for _ in lengths]
        job.remaining = len(lengths)
        self.entries += len(lengths)
        self.tokens += tokens

    def discard(self, job: Job) -> int:
        """Gives back the places of a job's waiting entries; returns how many there were."""
        waiting = [entry for entry in job.entries if entry.waiting]
        for entry in waiting:
            self._release(entry)
        return len(waiting)

    def waiting(self, model: ModelKey, bucket: int) -> int:
        """Entries of a lane."""
        return self._waiting[model, bucket]

    def heads(self, now: float) -> Iterator[Entry]:
        """Yields the oldest entry of each lane that somebody still waits for at the moment `now`."""
        for lane in list(self._lanes):
            if (entry := self._head(lane, now)) is not None:
                yield entry

    def pop(self, model: ModelKey, bucket: int, now: float) -> Entry | None:
        """Takes the oldest entry of a lane that somebody still waits for."""
        entry = self._head((model, bucket), now)
        if entry is not None:
            self._release(entry)
        return entry

    def _head(self, lane: tuple[ModelKey, int], now: float) -> Entry | None:
        entries = self._lanes.get(lane)
        while entries:
            if entries[0].waiting and entries[0].job.request.deadline <= now:
                self.discard(entries[0].job)
            if entries[0].waiting:
                return entries[0]
            entries.popleft()
        self._lanes.pop(lane, None)
        return None

    def _release(self, entry: Entry) -> None:
        entry.waiting = False
        self._waiting[entry.job.request.model, entry.bucket] -= 1
        self.entries -= 1
        self.tokens -= entry.length

"""Decides what the device runs next. Pure: its owner brings the clock, the lock and the device."""

from collections.abc import Callable
from dataclasses import dataclass

from service.engine.padding import Grid
from service.engine.protocol import Inference, ModelKey
from service.engine.queue import Entry, Job, Queue
from service.errors import ModelNotFound


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries of one model that run together in the shape (B, T)."""

    model: ModelKey
    entries: tuple[Entry, ...]
    shape: tuple[int, int]


class Scheduler:
    """Queues by (model, length bucket); the lane with the oldest entry runs next, so none starves.

    A batch is filled from its own bucket first. Rows that the grid's batch size leaves over would be computed as
    padding anyway: they are given to shorter entries, the longest bucket first.
    """

    def __init__(self, clock: Callable[[], float], max_entries: int, max_tokens: int) -> None:
        self._clock = clock
        self._queue = Queue(max_entries, max_tokens)
        self._grids: dict[ModelKey, Grid] = {}
        self._tokens_per_second = 10_000.0  # a slow processor's, until batches have been measured

    def add_model(self, model: ModelKey, grid: Grid) -> None:
        """Takes requests for a model from now on."""
        self._grids[model] = grid

    @property
    def queued_entries(self) -> int:
        """Entries that wait."""
        return self._queue.entries

    @property
    def queued_tokens(self) -> int:
        """Tokens that wait."""
        return self._queue.tokens

    def admit(self, request: Inference) -> Job:
        """Queues all sequences of a request. Raises Overloaded or ModelNotFound; then none is queued."""
        grid = self._grids.get(request.model)
        if grid is None:
            raise ModelNotFound(f"model {request.model} is not loaded")
        job = Job(request, self._clock())
        lengths = [next(iter(example.values())).shape[0] for example in request.examples]
        buckets = [grid.bucket(length) for length in lengths]
        self._queue.put(job, lengths, buckets, self._queue.tokens / self._tokens_per_second)
        return job

    def abandon(self, job: Job) -> int:
        """Takes the waiting entries of a job out, before they cost device time; returns how many."""
        return self._queue.discard(job)

    def take(self) -> Batch | None:
        """Takes the next batch; None where nothing waits."""
        now = self._clock()
        head = min(self._queue.heads(now), key=lambda entry: entry.order, default=None)
        if head is None:
            return None
        model, bucket = head.job.request.model, head.bucket
        grid = self._grids[model]
        entries = self._fill(model, bucket, grid.batch_sizes[-1], now)
        rows = grid.rows(len(entries))
        for shorter in reversed([length for length in grid.lengths if length < bucket]):
            entries += self._fill(model, shorter, rows - len(entries), now)
        for entry in entries:
            entry.job.queue_seconds = max(entry.job.queue_seconds, now - entry.job.arrived)
        return Batch(model, tuple(entries), (rows, bucket))

    def oldest_wait_seconds(self) -> float:
        """Seconds that the entry has waited which has waited longest; 0 where none does."""
        now = self._clock()
        return max((now - entry.job.arrived for entry in self._queue.heads(now)), default=0.0)

    def measured(self, batch: Batch, seconds: float) -> None:
        """Learns how fast the device is, for Retry-After."""
        rate = sum(entry.length for entry in batch.entries) / max(seconds, 1e-6)
        self._tokens_per_second += 0.05 * (rate - self._tokens_per_second)

    def _fill(self, model: ModelKey, bucket: int, count: int, now: float) -> list[Entry]:
        entries: list[Entry] = []
        while len(entries) < count and (entry := self._queue.pop(model, bucket, now)) is not None:
            entries.append(entry)
        return entries

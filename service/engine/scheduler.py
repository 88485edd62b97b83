"""Decides what the device runs next. Pure: its owner brings the clock, the lock and the device."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from service.engine.padding import Grid
from service.engine.plan import Plan, StepTimes
from service.engine.protocol import Inference, ModelKey
from service.engine.queue import Entry, Job, Queue
from service.errors import ModelNotFound


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries of one model that run together in the shape (B, T)."""

    model: ModelKey
    entries: tuple[Entry, ...]
    shape: tuple[int, int]


@dataclass(slots=True)
class Model:
    """A model's shapes, what they cost, and the device time that it has had.

    `served_seconds` is on a scale that all models share: one that comes back after a pause starts where the others are.
    """

    grid: Grid
    step_times: StepTimes
    served_seconds: float = 0.0


class Scheduler:
    """Queues by (model, length bucket).

    The model that has had the least device time runs next, so that none waits behind another's crowd; of its lanes,
    the one with the oldest entry, so that no length waits for ever. `Plan` says how the batch is filled.
    """

    def __init__(self, clock: Callable[[], float], max_entries: int, max_tokens: int) -> None:
        self._clock = clock
        self._queue = Queue(max_entries, max_tokens)
        self._models: dict[ModelKey, Model] = {}
        self._tokens_per_second = 10_000.0  # a slow processor's, until batches have been measured

    def add_model(self, key: ModelKey, grid: Grid, step_times: StepTimes) -> None:
        """Takes requests for a model from now on."""
        self._models[key] = Model(grid, step_times)

    def widen(self, key: ModelKey, grid: Grid) -> None:
        """Takes more shapes of a model into use, those that it had among them, in whose lanes something may wait."""
        self._models[key].grid = grid

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
        model = self._models.get(request.model)
        if model is None:
            raise ModelNotFound(f"model {request.model} is not loaded")
        job = Job(request, self._clock())
        lengths = [next(iter(example.values())).shape[0] for example in request.examples]
        buckets = [model.grid.bucket(length) for length in lengths]
        self._queue.put(job, lengths, buckets, self._queue.tokens / self._tokens_per_second)
        return job

    def abandon(self, job: Job) -> int:
        """Takes the waiting entries of a job out, before they cost device time; returns how many."""
        return self._queue.discard(job)

    def take(self) -> Batch | None:
        """Takes the next batch; None where nothing waits."""
        now = self._clock()
        oldest: dict[ModelKey, Entry] = {}
        for head in self._queue.heads(now):
            key = head.job.request.model
            if key not in oldest or head.order < oldest[key].order:
                oldest[key] = head
        if not oldest:
            return None
        key = min(oldest, key=lambda k: (self._models[k].served_seconds, oldest[k].order))
        self._forgive_pauses(oldest.keys(), self._models[key].served_seconds)
        model, bucket = self._models[key], oldest[key].bucket
        waiting = {length: self._queue.waiting(key, length) for length in model.grid.lengths}
        plan = Plan(model.grid, model.step_times, bucket, waiting)
        entries = [entry for length, count in plan.takes.items() for entry in self._pop(key, length, count, now)]
        for entry in entries:
            entry.job.taken += 1
            entry.job.queue_seconds = max(entry.job.queue_seconds, now - entry.job.arrived)
        model.served_seconds += model.step_times[plan.rows, bucket]
        return Batch(key, tuple(entries), (plan.rows, bucket))

    def oldest_wait_seconds(self) -> float:
        """Seconds that the entry has waited which has waited longest; 0 where none does."""
        now = self._clock()
        return max((now - entry.job.arrived for entry in self._queue.heads(now)), default=0.0)

    def measured(self, batch: Batch, seconds: float) -> None:
        """Learns what the shape costs, and how fast the device is, for Retry-After."""
        self._models[batch.model].step_times.measured(batch.shape, seconds)
        rate = sum(entry.length for entry in batch.entries) / max(seconds, 1e-6)
        self._tokens_per_second += 0.05 * (rate - self._tokens_per_second)

    def _pop(self, model: ModelKey, bucket: int, count: int, now: float) -> Iterator[Entry]:
        for _ in range(count):
            if (entry := self._queue.pop(model, bucket, now)) is not None:
                yield entry

    def _forgive_pauses(self, active: Collection[ModelKey], least: float) -> None:
        """Lets no model save up device time while nobody asks for it."""
        for key, model in self._models.items():
            if key not in active:
                model.served_seconds = max(model.served_seconds, least)

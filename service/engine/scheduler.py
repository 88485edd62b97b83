"""Selects the batches for the device. The owner supplies the clock and the device."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from service.engine.padding import Grid, starts_of
from service.engine.plan import Plan, StepTimes
from service.engine.queue import EngineRequest, OnDone, Order, Queue, QueuedSequence
from service.engine.requests import Requests
from service.errors import ModelNotFound, Overloaded, TagwerkError
from service.types import ModelKey

SHARED_STEP = 1.25  # the longest step of a client without a backlog, rows of others included, over that of its own rows


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences of one model that run together in the shape (B, T), T the length of the longest.

    Attributes:
        bucket: the length bucket that was selected; the sequences are of it or shorter.
        tokens: the sum of their lengths.
    """

    model: ModelKey
    sequences: Sequence[QueuedSequence]
    shape: tuple[int, int]
    bucket: int
    tokens: int


@dataclass(slots=True)
class Model:
    """A model's grid, its step times, and the device time that it has used.

    `served_seconds` is on a scale shared by all models: after an idle time a model continues where the others are.
    """

    grid: Grid
    step_times: StepTimes
    served_seconds: float = 0.0

    def sequence_seconds(self, bucket: int) -> float:
        """Returns the device time of a sequence of a length bucket, in a full batch."""
        rows = self.grid.batch_sizes[-1]
        return self.step_times[rows, bucket] / rows


class Scheduler:
    """Queues sequences by (model, length bucket) and selects batches.

    The client with the least tokens served is next, see `Queue`; among its models the one with the least device time,
    so that no model waits for another's backlog; within it, the bucket whose first sequence is next. `Plan` fills the
    batch. For a client without a backlog, it does so as if no client had a backlog; clients with one get the remaining
    rows, and as many more as `SHARED_STEP` allows.
    """

    def __init__(self, clock: Callable[[], float], max_sequences: int, max_tokens: int) -> None:
        self._clock = clock
        self._queue = Queue(max_sequences, max_tokens)
        self._models: dict[ModelKey, Model] = {}
        self._tokens_per_second = 10_000.0  # a slow processor's, until batches are measured

    def add_model(self, key: ModelKey, grid: Grid, step_times: StepTimes) -> None:
        """Starts accepting requests for a model."""
        self._models[key] = Model(grid, step_times)

    @property
    def queued_sequences(self) -> int:
        """Number of waiting sequences."""
        return self._queue.sequences

    @property
    def queued_tokens(self) -> int:
        """Number of waiting tokens."""
        return self._queue.tokens

    def admit(self, requests: Requests, on_done: OnDone) -> list[EngineRequest | TagwerkError]:
        """Queues all sequences of each request, or none; returns its `EngineRequest`, or the reason for its rejection.

        That is Overloaded or ModelNotFound.
        """
        model = self._models.get(requests.model)
        if model is None:
            return [ModelNotFound(f"model {requests.model} is not loaded") for _ in requests.counts]
        now, bucket = self._clock(), model.grid.bucket
        lengths = requests.sequences.lengths.tolist()
        starts = starts_of(lengths)
        admitted: list[EngineRequest | TagwerkError] = []
        first = 0
        for count, deadline, client in zip(requests.counts, requests.deadlines, requests.clients, strict=True):
            own, first = slice(first, first + count), first + count
            buckets = list(map(bucket, lengths[own]))
            request = EngineRequest(requests, client, now, deadline, lengths[own], starts[own], buckets, on_done)
            try:
                self._queue.put(request, self._tokens_per_second, model.sequence_seconds)
            except Overloaded as rejection:
                admitted.append(rejection)
            else:
                admitted.append(request)
        return admitted

    def full(self, client: int) -> Overloaded | None:
        """Returns the error with which any request of a client would be rejected, or None."""
        return self._queue.check(client, self._tokens_per_second)

    def abandon(self, request: EngineRequest) -> None:
        """Removes the waiting sequences of a request."""
        self._queue.discard(request)

    def take(self) -> Batch | None:
        """Returns the next batch; None if nothing waits."""
        now = self._clock()
        first: dict[ModelKey, tuple[Order, int, int]] = {}  # of the next sequence, its bucket and its client
        for bucket, head in self._queue.heads(now):
            key, candidate = head.request.model, (self._queue.order(head), bucket, head.request.client)
            if key not in first or candidate < first[key]:
                first[key] = candidate
        if not first:
            return None

        def order(key: ModelKey) -> tuple[int, float, int]:
            served, _, number = first[key][0]
            return served, self._models[key].served_seconds, number

        key = min(first, key=order)
        self._skip_idle_time(first.keys())
        model, ((served, _, _), bucket, client) = self._models[key], first[key]
        self._queue.begin_batch(served)
        without_backlog = self._queue.waiting_without_backlog(key, client, model.grid)
        waiting = without_backlog or {length: self._queue.waiting(key, length) for length in model.grid.lengths}
        plan = Plan(model.grid, model.step_times, bucket, waiting)
        rows = plan.rows
        sequences = [
            sequence for length, count in plan.takes.items() for sequence in self._pop(key, length, count, now)
        ]
        if without_backlog:
            rows = self._shared_rows(model, rows, bucket)
            for length in reversed(model.grid.lengths):
                if length <= bucket:
                    sequences += self._pop(key, length, rows - len(sequences), now)
            rows = min(rows, model.grid.rows(len(sequences)))
        lengths = [sequence.length for sequence in sequences]
        for sequence in sequences:
            request = sequence.request
            request.taken += 1
            request.queue_seconds = max(request.queue_seconds, now - request.arrived)
        shape = rows, max(lengths)
        model.served_seconds += model.step_times[shape]
        return Batch(key, sequences, shape, bucket, sum(lengths))

    def measured(self, batch: Batch, seconds: float) -> None:
        """Updates the step times, and the throughput for Retry-After."""
        self._models[batch.model].step_times.measured(batch.shape, seconds)
        rate = batch.tokens / max(seconds, 1e-6)
        self._tokens_per_second += 0.05 * (rate - self._tokens_per_second)

    def _shared_rows(self, model: Model, rows: int, bucket: int) -> int:
        """Returns the largest B whose step takes at most `SHARED_STEP` times as long as with so many rows."""
        longest = SHARED_STEP * model.step_times[rows, bucket]
        fitting = [size for size in model.grid.batch_sizes if model.step_times[size, bucket] <= longest]
        return max([rows, *fitting])

    def _pop(self, model: ModelKey, bucket: int, count: int, now: float) -> Iterator[QueuedSequence]:
        for _ in range(count):
            if (sequence := self._queue.pop(model, bucket, now)) is not None:
                yield sequence

    def _skip_idle_time(self, active: Collection[ModelKey]) -> None:
        """Raises `served_seconds` of idle models to the least of the others, so that they do not accumulate credit."""
        least = min(self._models[key].served_seconds for key in active)
        for key, model in self._models.items():
            if key not in active:
                model.served_seconds = max(model.served_seconds, least)

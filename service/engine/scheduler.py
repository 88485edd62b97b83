"""Selects the batches for the device. The owner supplies the clock and the device."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from math import inf

from service.engine.padding import Grid
from service.engine.plan import StepTimes, cut
from service.engine.queue import EngineRequest, OnDone, Queue, QueuedSequence
from service.engine.requests import Requests
from service.errors import ModelNotFound, Overloaded, TagwerkError
from service.types import ModelKey

# Full batches that are planned together, so that those of a batch have about the same length; one if several clients
# wait, so that none waits for another's.
PLANNED_BATCHES = 2
LONGEST_SECONDS = 0.05  # of a step, for which other models wait, and of the batches that are planned together


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences of one model that run together in the shape (B, T), T the length of the longest.

    Attributes:
        bucket: the length bucket of the longest sequence, for metrics.
        tokens: the sum of their lengths.
        extra_outputs: outputs that their requests ask for, besides the default ones.
    """

    model: ModelKey
    sequences: Sequence[QueuedSequence]
    shape: tuple[int, int]
    bucket: int
    tokens: int
    extra_outputs: frozenset[str] = frozenset()


@dataclass(slots=True)
class Model:
    """A model's grid, its step times, the device time that it has used, and its batches that are planned.

    `served_seconds` is on a scale shared by all models: after an idle time a model continues where the others are.
    """

    grid: Grid
    step_times: StepTimes
    served_seconds: float = 0.0
    planned: deque[Sequence[QueuedSequence]] = field(default_factory=deque)

    @property
    def sequence_seconds(self) -> tuple[float, float]:
        """The device time of a sequence in a full batch: fixed, and per token."""
        rows = self.grid.batch_sizes[-1]
        fixed, per_step = self.step_times.line(rows)
        return fixed / rows, per_step / rows


class Scheduler:
    """Queues sequences by model, and selects batches.

    The client with the least tokens served is next, see `Queue`; among its models the one with the least device time,
    so that no model waits for another's backlog. Its next sequences, up to two full batches, are sorted by length and
    cut into the batches that take the least time, see `cut`; these run in the order of their first sequences. What
    arrives meanwhile waits for the next plan.

    Attributes:
        queue: what waits.
    """

    def __init__(self, clock: Callable[[], float], max_sequences: int, max_tokens: int) -> None:
        self._clock = clock
        self.queue = Queue(max_sequences, max_tokens)
        self._models: dict[ModelKey, Model] = {}

    def add_model(self, key: ModelKey, grid: Grid, step_times: StepTimes) -> None:
        """Starts accepting requests for a model."""
        self._models[key] = Model(grid, step_times)

    def admit(self, requests: Requests, on_done: OnDone) -> list[EngineRequest | TagwerkError]:
        """Queues all sequences of each request, or none; returns its `EngineRequest`, or the reason for its rejection.

        That is Overloaded or ModelNotFound.
        """
        model = self._models.get(requests.model)
        if model is None:
            return [ModelNotFound(f"model {requests.model} is not loaded") for _ in requests.counts]
        now, sequence_seconds = self._clock(), model.sequence_seconds
        lengths = requests.sequences.lengths.tolist()
        starts = list(accumulate(lengths, initial=0))
        admitted: list[EngineRequest | TagwerkError] = []
        first = 0
        for count, deadline, client in zip(requests.counts, requests.deadlines, requests.clients, strict=True):
            end = first + count
            request = EngineRequest(requests, client, now, deadline, lengths[first:end], starts[first:end], on_done)
            first = end
            try:
                self.queue.put(request, sequence_seconds)
            except Overloaded as rejection:
                admitted.append(rejection)
            else:
                admitted.append(request)
        return admitted

    def take(self) -> Batch | None:
        """Returns the next batch; None if nothing waits."""
        while (key := self._next_model()) is not None:
            model = self._models[key]
            if not model.planned:
                self._plan(key, model)
            if sequences := self.queue.take(model.planned.popleft()):
                return self._batch(key, model, sequences)
        return None

    def _next_model(self) -> ModelKey | None:
        """Returns the model that runs next: of the client with the least tokens served, that with least device time.

        A model that has batches planned takes part, whosever they are: their turn had come. The others accumulate no
        credit: their device time is raised to the least of those that take part.
        """
        least = inf
        first: dict[ModelKey, int] = {}
        for key, served, number in self.queue.heads():
            if served < least:
                least, first = served, {}
            if served == least:
                first[key] = number
        for key, model in self._models.items():
            if model.planned:
                first[key] = 0
        if not first:
            return None
        chosen = min(first, key=lambda key: (self._models[key].served_seconds, first[key]))
        for key, model in self._models.items():
            if key not in first:
                model.served_seconds = max(model.served_seconds, self._models[chosen].served_seconds)
        return chosen

    def _plan(self, key: ModelKey, model: Model) -> None:
        """Cuts the next sequences of a model into batches."""
        sizes, step_times = model.grid.batch_sizes, model.step_times
        most = sizes[-1] * (PLANNED_BATCHES if self.queue.clients == 1 else 1)
        taken = self.queue.pop(key, most, LONGEST_SECONDS, model.sequence_seconds)
        if len(taken) == 1:  # the usual case of a client alone
            model.planned.append(taken)
            return
        of_each = [one.length for one in taken]
        rising = sorted(range(len(taken)), key=of_each.__getitem__)
        lengths = [of_each[i] for i in rising]
        quick = [rows for rows in sizes if step_times[rows, lengths[-1]] <= LONGEST_SECONDS] or sizes[:1]
        starts = cut(lengths, quick, step_times)
        batches = [rising[start:end] for start, end in pairwise([*starts, len(taken)])]
        model.planned.extend([taken[i] for i in batch] for batch in sorted(batches, key=min))

    def _batch(self, key: ModelKey, model: Model, sequences: Sequence[QueuedSequence]) -> Batch:
        now, lengths, extra_outputs = self._clock(), [one.length for one in sequences], frozenset[str]()
        for _, _, request, _, _ in sequences:
            request.taken += 1
            request.queue_seconds = max(request.queue_seconds, now - request.arrived)
            extra_outputs |= request.columns.extra_outputs
        shape = model.grid.rows(len(sequences)), max(lengths)
        model.served_seconds += model.step_times[shape]
        bucket = model.grid.bucket(shape[1])
        return Batch(key, sequences, shape, bucket, sum(lengths), extra_outputs)

    def measured(self, batch: Batch, seconds: float) -> None:
        """Updates the step times, and the throughput for Retry-After."""
        self._models[batch.model].step_times.measured(batch.shape, seconds)
        rate = batch.tokens / max(seconds, 1e-6)
        self.queue.tokens_per_second += 0.05 * (rate - self.queue.tokens_per_second)

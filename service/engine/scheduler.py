"""Selects the batches for the device, by step times measured here. The owner supplies the clock and the device."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from math import inf
from typing import Self

import numpy as np

from service.engine.queue import LONGEST_SECONDS, EngineRequest, OnDone, OutputPlace, Queue, QueuedSequence
from service.engine.requests import ANONYMOUS, Requests
from service.errors import ModelNotFound, TagwerkError
from service.types import ModelKey

# Full batches that are planned together, so that those of a batch have about the same length; one if several clients
# wait, so that none waits for another's.
PLANNED_BATCHES = 2
PLANNED_WITHOUT_DEADLINE = 44  # full batches of requests that nobody waits for, such as a file's
ROUNDING = 1 + 1e-9  # within which times are equal


@dataclass(frozen=True, slots=True)
class Grid:
    """A model's compiled batch sizes B and length buckets, both ascending.

    A step takes sequences of any length up to the longest bucket, which is its capacity.
    """

    batch_sizes: tuple[int, ...]
    lengths: tuple[int, ...]

    def bucket(self, length: int) -> int:
        """Returns the length bucket of a sequence: the smallest T that holds it. Raises ValueError if none does."""
        if length > self.lengths[-1]:
            raise ValueError(f"a sequence of {length} tokens does not fit the largest bucket, {self.lengths[-1]}")
        return self.lengths[bisect_left(self.lengths, length)]

    def rows(self, sequences: int) -> int:
        """Returns the smallest B that holds that many sequences, or the largest B."""
        return self.batch_sizes[min(bisect_left(self.batch_sizes, sequences), len(self.batch_sizes) - 1)]

    @property
    def capacity(self) -> int:
        """The length of the longest sequence."""
        return self.lengths[-1]


@dataclass(slots=True)
class StepTimes:
    """Models the seconds of a step (B, T), T its longest sequence: for each B, a line over T.

    A batch that takes less time than that lowers all lines alike; a batch that takes more says how busy the device is,
    not what a step costs.

    Attributes:
        lines: by B: fixed seconds, and seconds per iteration of the step's loop, which has T iterations.
    """

    lines: dict[int, tuple[float, float]]

    @classmethod
    def fit(cls, measured: Mapping[tuple[int, int], float]) -> Self:
        """Fits a + b B + (c + d B) T to the seconds of steps (B, T), each number 0 or more, by least squares.

        Errors count in proportion to the seconds. Four numbers for all sizes: one step that was measured too slow or
        too fast does not decide how often its size is chosen.
        """
        if not measured:
            return cls({})
        b, t = np.array(list(measured), float).T
        terms = np.stack([np.ones_like(b), b, t, b * t], axis=1) / np.array(list(measured.values()))[:, None]  # [N, 4]
        used = [0, 1, 2, 3]
        while (found := np.linalg.lstsq(terms[:, used], np.ones(len(b)))[0]).min() < 0:
            del used[found.argmin()]
        factors = [0.0] * 4
        for i, factor in zip(used, found.tolist(), strict=True):
            factors[i] = factor
        fixed, fixed_of_row, iteration, iteration_of_row = factors
        return cls({rows: (fixed + fixed_of_row * rows, iteration + iteration_of_row * rows) for rows, _ in measured})

    def measured(self, shape: tuple[int, int], seconds: float) -> None:
        """Lowers the times of all steps alike if one took less."""
        fixed, per_step = self.lines[shape[0]]
        if 0 < seconds < (known := fixed + per_step * shape[1]):
            self.lines = {rows: (f * seconds / known, p * seconds / known) for rows, (f, p) in self.lines.items()}

    def seconds(self, rows: int, length: int) -> float:
        """Returns the seconds of a step (B, T)."""
        fixed, per_step = self.lines[rows]
        return fixed + per_step * length

    @property
    def of_sequence(self) -> tuple[float, float]:
        """The device time of a sequence in a full batch: fixed seconds, and seconds per token."""
        rows = max(self.lines)
        fixed, per_step = self.lines[rows]
        return fixed / rows, per_step / rows


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
class ScheduledModel:
    """A model's grid, its step times, the device time that it has used, and its batches that are planned.

    `served_seconds` is on a scale shared by all models: after an idle time a model continues where the others are.
    """

    grid: Grid
    step_times: StepTimes
    served_seconds: float = 0.0
    planned: deque[Sequence[QueuedSequence]] = field(default_factory=deque)


class Scheduler:
    """Queues sequences by model, and selects batches.

    The client with the least tokens served is next, see `Queue`; among its models the one with the least device time,
    so that no model waits for another's backlog. Its next sequences, up to two full batches, or many of a client whose
    requests have no deadline, are sorted by length and cut into the batches that take the least time, see `cut`; these
    run in the order of their first sequences. What arrives meanwhile waits for the next plan.

    Attributes:
        queue: what waits, planned or not.
    """

    def __init__(self, clock: Callable[[], float], max_sequences: int, max_tokens: int) -> None:
        self._clock = clock
        self.queue = Queue(max_sequences, max_tokens)
        self._models: dict[ModelKey, ScheduledModel] = {}

    def add_model(self, key: ModelKey, grid: Grid, step_times: StepTimes) -> None:
        """Starts accepting requests for a model."""
        self._models[key] = ScheduledModel(grid, step_times)

    def admit(self, requests: Requests, on_done: OnDone) -> list[EngineRequest | TagwerkError]:
        """Queues all sequences of each request, or none; returns its `EngineRequest`, or the reason for its rejection.

        That is Overloaded or ModelNotFound. A request that is `begun` is always admitted, since the work done for it
        would be lost.
        """
        if requests.model not in self._models:
            return [ModelNotFound(f"model {requests.model} is not loaded") for _ in requests.counts]
        queue, now = self.queue, self._clock()
        lengths = requests.sequences.lengths.tolist()
        starts = list(accumulate(lengths, initial=0))
        admitted: list[EngineRequest | TagwerkError] = []
        first = 0
        for count, deadline, client in zip(requests.counts, requests.deadlines, requests.clients, strict=True):
            end = first + count
            tokens = starts[end] - starts[first]
            fits = queue.sequences + count <= queue.max_sequences and queue.tokens + tokens <= queue.max_tokens
            at_once = requests.begun or (fits and client == ANONYMOUS)
            if not at_once and (rejection := queue.rejection(client, count, tokens)) is not None:
                admitted.append(rejection)
            else:
                own, places = lengths[first:end], starts[first:end]
                nowhere: list[OutputPlace | None] = [None] * count
                request = EngineRequest(requests, client, now, deadline, own, places, on_done, nowhere, count, tokens)
                queue.put(request)
                admitted.append(request)
            first = end
        return admitted

    def take(self) -> Batch | None:
        """Returns the next batch; None if nothing waits."""
        while self.queue.sequences:
            key, model = self._next_model()
            if not model.planned:
                self._plan(key, model)
            if sequences := self.queue.take(model.planned.popleft()):
                return self._batch(key, model, sequences)
        return None

    def _next_model(self) -> tuple[ModelKey, ScheduledModel]:
        """Returns the model that runs next: of the client with the least tokens served, that with least device time.

        A model that has batches planned takes part, whosever they are: their turn had come. The others accumulate no
        credit: their device time is raised to the least among the models that take part.
        """
        first = self.queue.heads()
        for key, model in self._models.items():
            if model.planned:
                first[key] = 0
        _, _, chosen = min([(self._models[key].served_seconds, number, key) for key, number in first.items()])
        served = self._models[chosen].served_seconds
        for model in self._models.values():
            model.served_seconds = max(model.served_seconds, served)
        return chosen, self._models[chosen]

    def _plan(self, key: ModelKey, model: ScheduledModel) -> None:
        """Cuts the next sequences of a model into batches."""
        sizes, step_times = model.grid.batch_sizes, model.step_times
        alone, longest = len(self.queue.clients) == 1, LONGEST_SECONDS
        most = sizes[-1] * (PLANNED_BATCHES if alone else 1)
        popped = self.queue.pop(key, most, longest, step_times.of_sequence)
        if alone and popped[0].request.deadline == inf:
            longest, most = inf, sizes[-1] * PLANNED_WITHOUT_DEADLINE - len(popped)
            popped += self.queue.pop(key, most, longest, step_times.of_sequence)
        if len(popped) == 1:  # the usual case of a client alone
            model.planned.append(popped)
        else:
            rising = sorted(range(len(popped)), key=[length for _, _, length in popped].__getitem__)
            lengths = [popped[i].length for i in rising]
            quick = [rows for rows in sizes if step_times.seconds(rows, lengths[-1]) <= longest] or sizes[:1]
            batches = [rising[i:end] for i, end in pairwise([*cut(lengths, quick, step_times), len(popped)])]
            model.planned.extend([popped[i] for i in batch] for batch in sorted(batches, key=min))

    def _batch(self, key: ModelKey, model: ScheduledModel, sequences: Sequence[QueuedSequence]) -> Batch:
        now, lengths, extra_outputs = self._clock(), [length for _, _, length in sequences], frozenset[str]()
        for request, _, _ in sequences:
            request.queue_seconds = max(request.queue_seconds, now - request.arrived)
            extra_outputs |= request.columns.extra_outputs
        shape = model.grid.rows(len(sequences)), max(lengths)
        model.served_seconds += model.step_times.seconds(*shape)
        return Batch(key, sequences, shape, model.grid.bucket(shape[1]), sum(lengths), extra_outputs)

    def measured(self, batch: Batch, seconds: float) -> None:
        """Updates the step times, and the throughput for Retry-After."""
        self._models[batch.model].step_times.measured(batch.shape, seconds)
        rate = batch.tokens / max(seconds, 1e-6)
        self.queue.tokens_per_second += 0.05 * (rate - self.queue.tokens_per_second)


def cut(lengths: Sequence[int], batch_sizes: Sequence[int], seconds: StepTimes) -> list[int]:
    """Cuts sequences, whose lengths rise, into batches that take the least time; returns where each batch starts.

    Each batch is full, except the first, whose last rows may be filler.
    """
    lines = [(rows, *seconds.lines[rows]) for rows in batch_sizes]
    costs, starts = [0.0], [0]  # of the first n sequences: their least seconds, and the start of their last batch
    for n, length in enumerate(lengths, start=1):
        least, first = inf, 0
        for rows, fixed, per_step in lines:
            start = max(n - rows, 0)
            if (cost := costs[start] + fixed + per_step * length) <= ROUNDING * least:  # if equal, more rows
                least, first = cost, start
            if not start:
                break
        costs.append(least)
        starts.append(first)
    batches: list[int] = []
    end = len(lengths)
    while end:
        end = starts[end]
        batches.append(end)
    return batches[::-1]

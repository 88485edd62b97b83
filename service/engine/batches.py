"""Runs batches on the taggers and classifiers, and assigns their outputs or errors to the sequences."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from service.backend.base import Fetch
from service.engine.loader import Sequences
from service.engine.queue import EngineRequest, OutputPlace, QueuedSequence
from service.engine.scheduler import Batch, Scheduler
from service.errors import DeviceFailed, InternalError, TagwerkError
from service.telemetry.metrics import Metrics, RanBatch
from service.types import Array, ModelKey, Outputs, Ragged, Tensors, pad

log = logging.getLogger("tagwerk.engine")


Finish = Callable[[], Iterable[tuple[int, int]]]  # fetches the outputs of a step; returns the tokens of its clients


class Batches:
    """The taggers and classifiers of a process.

    Attributes:
        ended: requests that are over; the reader clears it.
    """

    def __init__(self, scheduler: Scheduler, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._scheduler = scheduler
        self._metrics = metrics
        self._clock = clock
        self._models: dict[ModelKey, Sequences] = {}
        self.ended: list[EngineRequest] = []
        metrics.on_flush.append(self._show_queue)

    def add_model(self, key: ModelKey, loaded: Sequences) -> None:
        """Starts accepting requests for a model."""
        self._models[key] = loaded
        self._scheduler.add_model(key, loaded.grid, loaded.step_times)

    def start_step(self) -> list[Finish]:
        """Starts the next batch, if there is one; returns what finishes it."""
        if (batch := self._scheduler.take()) is None:
            return []
        started = self._clock()
        try:
            inputs = pad(gather(batch.sequences), batch.shape)
            fetch = self._models[batch.model].model.start(inputs, batch.extra_outputs)
        except Exception as error:
            self._fail(batch, error)
            return []
        return [partial(self._finish, batch, started, inputs, fetch)]

    def _show_queue(self) -> None:
        """Shows how much waits in the metrics."""
        self._metrics.queue_entries.set(self._scheduler.queue.sequences)
        self._metrics.queue_tokens.set(self._scheduler.queue.tokens)

    def _finish(self, batch: Batch, started: float, inputs: Tensors, fetch: Fetch) -> Iterable[tuple[int, int]]:
        loaded, (rows, length) = self._models[batch.model], batch.shape
        try:
            outputs = without_filler(fetch(), batch, loaded.model.timed_outputs)
            seconds = self._clock() - started
            loaded.observed.add(inputs, outputs, rows * length)
            finished = assign_outputs(batch, outputs, seconds)
        except Exception as error:
            self._fail(batch, error)
            return ()
        self._scheduler.measured(batch, seconds)
        waits = [max(started - request.arrived, 0.0) for request, _, _ in batch.sequences]
        padding = rows * length - batch.tokens
        self._metrics.ran(batch.model.name, batch.bucket, RanBatch(seconds, rows * length, padding, waits))
        self.ended += finished
        return ((request.client, length) for request, _, length in batch.sequences)

    def _fail(self, batch: Batch, error: Exception) -> None:
        known = log_failure(error, f"a batch of {batch.model} in shape {batch.shape}")
        requests = list(dict.fromkeys(request for request, _, _ in batch.sequences))
        for request in requests:
            request.error = known
            self._scheduler.queue.discard(request)
        self.ended += requests


def gather(sequences: Sequence[QueuedSequence]) -> Ragged:
    """Concatenates the sequences of a batch."""
    places: list[tuple[Tensors, int, int]] = []  # values, start, end
    lengths: list[int] = []
    for request, position, length in sequences:
        start = request.starts[position]
        places.append((request.columns.sequences.values, start, start + length))
        lengths.append(length)
    joined: dict[str, Array] = {}
    for name in places[0][0]:
        joined[name] = np.concatenate([values[name][start:end] for values, start, end in places])
    return Ragged(np.array(lengths, np.int32), joined)


def without_filler(outputs: Tensors, batch: Batch, timed: frozenset[str]) -> Outputs:
    """Returns the outputs of a batch, of its sequences alone; the `timed` ones have a time axis.

    Raises ValueError if there are fewer.
    """
    found = Outputs({}, {})
    for name, values in outputs.items():
        count, of_kind = (batch.tokens, found.timed) if name in timed else (len(batch.sequences), found.others)
        if len(values) < count:
            raise ValueError(f"{name} has {len(values)} values, not {count}")
        of_kind[name] = values[:count]
    return found


def assign_outputs(batch: Batch, outputs: Outputs, seconds: float) -> list[EngineRequest]:
    """Assigns the outputs of a batch to its requests; returns the requests that are complete."""
    done: list[EngineRequest] = []
    cell, size = 0, len(batch.sequences)
    for row, (request, position, length) in enumerate(batch.sequences):
        request.places[position] = OutputPlace(outputs, row, cell)
        cell += length
        request.inference_seconds = max(request.inference_seconds, seconds)
        request.batch_size = max(request.batch_size, size)
        request.remaining -= 1
        if request.remaining == 0:
            done.append(request)
    return done


def outputs_of(requests: Sequence[EngineRequest]) -> Outputs:
    """Returns the outputs of all sequences, in order, of complete requests with the same model and `extra_outputs`.

    Others that another request of a batch requested may be among them. Outputs that are adjacent in a batch's arrays
    are copied together, or not at all.
    """
    runs: list[tuple[Outputs, slice, slice]] = []  # rows and cells
    for request in requests:
        for place, length in zip(request.places, request.lengths, strict=True):
            assert place is not None  # noqa: S101 (the request is complete)
            outputs, row, cell = place
            first, start = row, cell
            if runs and runs[-1][0] is outputs and runs[-1][1].stop == row:
                _, rows, cells = runs.pop()
                first, start = rows.start, cells.start
            runs.append((outputs, slice(first, row + 1), slice(start, cell + length)))
    if len(runs) == 1:
        outputs, rows, cells = runs[0]
        timed, others = len(next(iter(outputs.timed.values()), ())), len(next(iter(outputs.others.values()), ()))
        whole = cells == slice(0, timed) or rows == slice(0, others)
        return outputs if whole else outputs.of(rows, cells)
    found = Outputs({}, {})
    for name in set.intersection(*[set(outputs.timed) for outputs, _, _ in runs]):
        found.timed[name] = np.concatenate([outputs.timed[name][cells] for outputs, _, cells in runs])
    for name in set.intersection(*[set(outputs.others) for outputs, _, _ in runs]):
        found.others[name] = np.concatenate([outputs.others[name][rows] for outputs, rows, _ in runs])
    return found


def log_failure(error: Exception, what: str) -> TagwerkError:
    """Logs a failure; returns the error to pass on to the affected requests."""
    if isinstance(error, DeviceFailed):
        log.error("%s failed: %s", what, error)
        return error
    log.error("%s failed", what, exc_info=error)
    return InternalError(f"{what} failed: {error!r}")

"""Runs a batch on a model, and assigns the outputs or the error to its sequences."""

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from service.artifact.manifest import TensorSpec
from service.backend.base import SequenceModel
from service.engine.padding import pad, unpad
from service.engine.queue import EngineRequest, Place, QueuedSequence
from service.engine.scheduler import Batch
from service.errors import DeviceFailed, InternalError, TagwerkError
from service.types import Array, Ragged, Tensors

log = logging.getLogger("tagwerk.engine")

Outputs = tuple[dict[str, Array], dict[str, Array]]  # with a time axis, and without; see `padding.unpad`


def gather(sequences: Sequence[QueuedSequence]) -> Ragged:
    """Concatenates the sequences of a batch. Adjacent sequences of one request are copied together."""
    runs: list[tuple[Tensors, int, int]] = []  # values, start, end
    for _, _, request, position, _ in sequences:
        values, start = request.columns.sequences.values, request.starts[position]
        end = start + request.lengths[position]
        if runs and runs[-1][0] is values and runs[-1][2] == start:
            start = runs.pop()[1]
        runs.append((values, start, end))
    lengths = np.array([sequence.length for sequence in sequences], np.int32)
    if len(runs) == 1:
        values, start, end = runs[0]
        return Ragged(lengths, {name: array[start:end] for name, array in values.items()})
    names = runs[0][0]
    return Ragged(lengths, {n: np.concatenate([array[n][start:end] for array, start, end in runs]) for n in names})


def start_batch(model: SequenceModel, specs: Mapping[str, TensorSpec], batch: Batch) -> Callable[[], Outputs]:
    """Starts a batch; returns a function that returns its outputs, without padding. Both raise DeviceFailed."""
    padded = pad(gather(batch.sequences), specs, batch.shape)
    further = frozenset[str]().union(*{sequence.request.columns.further for sequence in batch.sequences})
    fetch = model.start(padded.inputs, further)
    return lambda: unpad(fetch(), padded, model.timed_outputs)


def assign_outputs(batch: Batch, outputs: Outputs, seconds: float) -> list[EngineRequest]:
    """Assigns the outputs of a batch to its requests; returns the requests that are complete."""
    selected = select_outputs(batch, outputs)
    done: list[EngineRequest] = []
    cell, size = 0, len(batch.sequences)
    for row, (_, _, request, position, _) in enumerate(batch.sequences):
        request.places[position] = Place(*selected[request.columns.further], row, cell)
        cell += request.lengths[position]
        request.inference_seconds = max(request.inference_seconds, seconds)
        request.batch_size = max(request.batch_size, size)
        request.remaining -= 1
        if request.remaining == 0:
            done.append(request)
    return done


def select_outputs(batch: Batch, outputs: Outputs) -> dict[frozenset[str], Outputs]:
    """Returns the outputs for each `further` of a batch's requests, without those that only others have requested."""
    kinds = {sequence.request.columns.further for sequence in batch.sequences}
    if len(kinds) == 1:
        return {kinds.pop(): outputs}
    further = frozenset[str]().union(*kinds)
    timed, others = outputs
    return {
        kind: (
            {name: values for name, values in timed.items() if name in kind or name not in further},
            {name: values for name, values in others.items() if name in kind or name not in further},
        )
        for kind in kinds
    }


def outputs_of(requests: Sequence[EngineRequest]) -> Outputs:
    """Returns the outputs of all sequences, in order, of complete requests with the same model and `further` outputs.

    Outputs that are adjacent in a batch's arrays are copied together, or not at all.
    """
    runs: list[tuple[Place, int, int]] = []  # the first place, the end of its rows, the end of its cells
    for request in requests:
        for place, length in zip(request.places, request.lengths, strict=True):
            assert place is not None  # noqa: S101 (the request is complete)
            begun = runs[-1] if runs else None
            if begun and begun[0].timed is place.timed and begun[1:] == (place.row, place.cell):
                runs[-1] = begun[0], place.row + 1, place.cell + length
            else:
                runs.append((place, place.row + 1, place.cell + length))
    first, row, cell = runs[0]
    if len(runs) == 1:
        return (
            {name: values[first.cell : cell] for name, values in first.timed.items()},
            {name: values[first.row : row] for name, values in first.others.items()},
        )
    timed = {
        name: np.concatenate([place.timed[name][place.cell : cell] for place, _, cell in runs]) for name in first.timed
    }
    others = {
        name: np.concatenate([place.others[name][place.row : row] for place, row, _ in runs]) for name in first.others
    }
    return timed, others


def log_failure(error: Exception, what: str) -> TagwerkError:
    """Logs a failure; returns the error to pass on to the affected requests."""
    if isinstance(error, DeviceFailed):
        log.error("%s failed: %s", what, error)
        return error
    log.error("%s failed", what, exc_info=error)
    return InternalError(f"{what} failed: {error!r}")

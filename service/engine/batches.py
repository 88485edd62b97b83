"""Runs a batch on a model, and gives each sequence its outputs, or the error."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from service.artifact.manifest import TensorSpec
from service.backend.base import SequenceModel
from service.engine.padding import pad, unpad
from service.engine.queue import Entry, Job, Place
from service.engine.scheduler import Batch
from service.errors import DeviceFailed, InternalError, TagwerkError
from service.types import Array, Ragged, Tensors

log = logging.getLogger("tagwerk.engine")

Outputs = tuple[dict[str, Array], dict[str, Array]]  # those with a time axis, and the others; see `padding.unpad`


def gather(entries: Sequence[Entry]) -> Ragged:
    """Lays the sequences of a batch end to end. Those that came side by side are copied together."""
    runs: list[tuple[Tensors, int, int]] = []  # values, and the tokens of them
    for _, _, job, index in entries:
        values, start = job.requests.sequences.values, job.starts[index]
        end = start + job.lengths[index]
        if runs and runs[-1][0] is values and runs[-1][2] == start:
            start = runs.pop()[1]
        runs.append((values, start, end))
    lengths = np.array([entry.length for entry in entries], np.int32)
    values = {name: together([array[name][start:end] for array, start, end in runs]) for name in runs[0][0]}
    return Ragged(lengths, values)


def run_batch(model: SequenceModel, specs: Mapping[str, TensorSpec], batch: Batch) -> Outputs:
    """Runs a batch; returns the outputs of its sequences without padding. Raises DeviceFailed."""
    padded = pad(gather(batch.entries), specs, batch.shape)
    further = frozenset[str]().union(*{entry.job.further for entry in batch.entries})
    return unpad(model.run(padded.inputs, further), padded, model.timed_outputs)


def hand_out(batch: Batch, outputs: Outputs, seconds: float) -> list[Job]:
    """Gives the requests of a batch their outputs; returns those that are done now."""
    wanted = wanted_by(batch, outputs)
    done: list[Job] = []
    cell, size = 0, len(batch.entries)
    for row, (_, _, job, index) in enumerate(batch.entries):
        job.places[index] = Place(*wanted[job.further], row, cell)
        cell += job.lengths[index]
        job.inference_seconds = max(job.inference_seconds, seconds)
        job.batch_size = max(job.batch_size, size)
        job.remaining -= 1
        if job.remaining == 0:
            done.append(job)
    return done


def wanted_by(batch: Batch, outputs: Outputs) -> dict[frozenset[str], Outputs]:
    """Returns, by the further outputs that requests of a batch want, what they get: not what others of it want."""
    kinds = {entry.job.further for entry in batch.entries}
    further = frozenset[str]().union(*kinds)
    timed, others = outputs
    return {
        kind: (
            {name: values for name, values in timed.items() if name in kind or name not in further},
            {name: values for name, values in others.items() if name in kind or name not in further},
        )
        for kind in kinds
    }


def outputs_of(jobs: Sequence[Job]) -> Outputs:
    """Returns the outputs of all sequences, in order, of jobs that are done and want the same of the same model.

    What lies side by side in the arrays of a batch is copied together, or not at all.
    """
    runs: list[tuple[Place, int, int]] = []  # a place, and where the rows and the cells from there on end
    for job in jobs:
        for place, length in zip(job.places, job.lengths, strict=True):
            assert place is not None  # noqa: S101 (the job is done)
            begun = runs[-1] if runs else None
            if begun and begun[0].timed is place.timed and begun[1:] == (place.row, place.cell):
                runs[-1] = begun[0], place.row + 1, place.cell + length
            else:
                runs.append((place, place.row + 1, place.cell + length))
    timed = {
        name: together([first.timed[name][first.cell : cell] for first, _, cell in runs]) for name in runs[0][0].timed
    }
    others = {
        name: together([first.others[name][first.row : row] for first, row, _ in runs]) for name in runs[0][0].others
    }
    return timed, others


def together(parts: Sequence[Array]) -> Array:
    """Returns arrays as one; where there is one alone, itself."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def as_told(error: Exception, what: str) -> TagwerkError:
    """Logs an error that ended something, and returns it as its callers hear of it."""
    if isinstance(error, DeviceFailed):
        log.error("%s failed: %s", what, error)
        return error
    log.error("%s failed", what, exc_info=error)
    return InternalError(f"{what} failed: {error!r}")

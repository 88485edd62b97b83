"""Padded batches of examples, and their outputs example by example."""

from collections.abc import Mapping, Sequence

import numpy as np

from service.artifact.manifest import TensorSpec
from service.engine.padding import PaddedBatch, pad, unpad
from service.types import Array, Ragged, Tensors


def padded(examples: Sequence[Tensors], specs: Mapping[str, TensorSpec], shape: tuple[int, int]) -> PaddedBatch:
    """Pads examples, whose inputs are [T, ...] each, to the shape (B, T)."""
    return pad(Ragged.of([{n: v.astype(specs[n].dtype) for n, v in one.items()} for one in examples]), shape)


def rows_of(outputs: Tensors, batch: PaddedBatch, timed: frozenset[str]) -> list[dict[str, Array]]:
    """Returns the outputs of each example: [T, ...] of its length for the `timed` ones, [...] for the others."""
    with_time, others = unpad(outputs, batch, timed)
    ends = np.cumsum(batch.real.sum(axis=1))[:-1]
    parts = {name: np.split(values, ends) for name, values in with_time.items()}
    return [{name: values[i] for name, values in (parts | others).items()} for i in range(len(batch.real))]

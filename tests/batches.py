"""Padded batches of examples, and their outputs example by example."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from service.artifact.manifest import TensorSpec
from service.types import Array, Ragged, Tensors, pad


class Padded(NamedTuple):
    """A batch of examples: its inputs, and the length of each example."""

    inputs: dict[str, Array]
    lengths: list[int]


def padded(examples: Sequence[Tensors], specs: Mapping[str, TensorSpec], shape: tuple[int, int]) -> Padded:
    """Pads examples, whose inputs are [T, ...] each, to the shape (B, T)."""
    ragged = Ragged.of([{n: v.astype(specs[n].dtype) for n, v in one.items()} for one in examples])
    return Padded(pad(ragged, shape), ragged.lengths.tolist())


def rows_of(outputs: Tensors, batch: Padded, timed: frozenset[str]) -> list[dict[str, Array]]:
    """Returns the outputs of each example: [T, ...] of its length for the `timed` ones, [...] for the others."""
    rows: list[dict[str, Array]] = []
    start = 0
    for i, length in enumerate(batch.lengths):
        cells = slice(start, start + length)
        rows.append({name: values[cells if name in timed else i] for name, values in outputs.items()})
        start += length
    return rows

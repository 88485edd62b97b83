"""Sequences of different lengths, concatenated or padded to one batch."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from service.artifact.manifest import TensorSpec
from service.types import Array, Ragged


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


class Outputs(NamedTuple):
    """The outputs of N sequences, without padding.

    Attributes:
        timed: those with a time axis, of all sequences concatenated  # each [sum of lengths, ...].
        others: those without  # each [N, ...].
    """

    timed: dict[str, Array]
    others: dict[str, Array]

    def of(self, rows: slice, cells: slice) -> "Outputs":
        """Returns the outputs of some sequences: views, not copies."""
        timed = {name: values[cells] for name, values in self.timed.items()}
        return Outputs(timed, {name: values[rows] for name, values in self.others.items()})


def pad(sequences: Ragged, shape: tuple[int, int]) -> dict[str, Array]:
    """Pads N sequences, at most B, with zeros to the shape (B, T); returns inputs [B, T, ...], and lengths [B] int32.

    Filler rows, the last ones, are all padding and have length 1: a row of length 0 would have no last step.
    """
    b, t = shape
    rows = len(sequences.lengths)
    real = np.arange(t, dtype=np.int32) < sequences.lengths[:, None]  # [N, T]
    inputs: dict[str, Array] = {}
    for name, values in sequences.values.items():
        inputs[name] = np.zeros((b, t, *values.shape[1:]), values.dtype)
        inputs[name][:rows][real] = values
    inputs["lengths"] = np.ones(b, np.int32)
    inputs["lengths"][:rows] = sequences.lengths
    return inputs


def full_rows(specs: Mapping[str, TensorSpec], shape: tuple[int, int]) -> dict[str, Array]:
    """Returns inputs of zeros for a batch (B, T) whose rows all have length T."""
    b, t = shape
    inputs = {name: np.zeros((b, t, *sizes_of(spec)), spec.dtype) for name, spec in specs.items() if name != "lengths"}
    return inputs | {"lengths": np.full(b, t, np.int32)}


def sizes_of(spec: TensorSpec) -> tuple[int, ...]:
    """Returns the sizes of an input's axes after [B, T]."""
    return tuple(axis for axis in spec.axes[2:] if isinstance(axis, int))

"""Entries of different lengths to one padded batch of a shape on the grid, and its outputs back to the entries."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact import TensorSpec

Array = NDArray[Any]
Tensors = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Grid:
    """The closed grid of shapes (B, T) that a model is compiled for; both rise."""

    batch_sizes: tuple[int, ...]
    lengths: tuple[int, ...]

    def bucket(self, length: int) -> int:
        """Returns the length bucket of a sequence: the smallest T that holds it. Raises ValueError over the largest."""
        if length > self.lengths[-1]:
            raise ValueError(f"a sequence of {length} tokens does not fit the largest bucket, {self.lengths[-1]}")
        return self.lengths[bisect_left(self.lengths, length)]

    def rows(self, entries: int) -> int:
        """Returns the smallest B that holds that many entries, or the largest B."""
        return self.batch_sizes[min(bisect_left(self.batch_sizes, entries), len(self.batch_sizes) - 1)]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """All (B, T)."""
        return [(b, t) for t in self.lengths for b in self.batch_sizes]

    @property
    def coarse(self) -> "Grid":
        """A part of the grid that holds whatever all of it holds: its largest B, every fourth T."""
        return Grid(self.batch_sizes[-1:], self.lengths[::-4][::-1])

    def expected_padding(self, counts: Mapping[int, int]) -> float:
        """Returns the share of padding in the rows of sequences, `counts` of each length; filler rows come on top."""
        cut = {length: min(length, self.lengths[-1]) for length in counts}
        tokens = sum(count * cut[length] for length, count in counts.items())
        cells = sum(count * self.bucket(cut[length]) for length, count in counts.items())
        return 1 - tokens / cells if cells else 0.0


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """Rows of a batch, right-padded with zeros: `inputs` hold B rows, of which the first `len(lengths)` are real."""

    inputs: dict[str, Array]  # each [B, T, ...], and lengths [B] int32, 1 in filler rows
    lengths: tuple[int, ...]
    shape: tuple[int, int]

    @property
    def padding_waste(self) -> float:
        """Share of the B x T cells that are padding."""
        return 1 - sum(self.lengths) / (self.shape[0] * self.shape[1])


def pad(examples: Sequence[Tensors], specs: Mapping[str, TensorSpec], shape: tuple[int, int]) -> PaddedBatch:
    """Pads examples (each input [T, ...] without batch axis) to the shape (B, T).

    Filler rows are all padding and have length 1, since a row of length 0 has no last step to read.
    """
    b, t = shape
    lengths = tuple(next(iter(example.values())).shape[0] for example in examples)
    inputs: dict[str, Array] = {}
    for name, spec in specs.items():
        if name == "lengths":
            continue
        rest = tuple(axis for axis in spec.axes[2:] if isinstance(axis, int))
        inputs[name] = np.zeros((b, t, *rest), spec.dtype)
        for row, example, length in zip(inputs[name], examples, lengths, strict=False):
            row[:length] = example[name]
    inputs["lengths"] = np.ones(b, np.int32)
    inputs["lengths"][: len(lengths)] = lengths
    return PaddedBatch(inputs, lengths, shape)


def unpad(outputs: Tensors, batch: PaddedBatch, timed: frozenset[str]) -> list[dict[str, Array]]:
    """Gives each real row its outputs: [T, ...] cut to its length for the `timed` ones, [...] for the others."""
    return [
        {name: values[i, :length] if name in timed else values[i] for name, values in outputs.items()}
        for i, length in enumerate(batch.lengths)
    ]

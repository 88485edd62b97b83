"""Sequences of different lengths, laid end to end or padded to one batch."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from service.artifact import TensorSpec

Array = NDArray[Any]
Tensors = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Ragged:
    """Sequences of different lengths, laid end to end.

    Attributes:
        lengths: of each sequence  # [N] int32.
        values: by name, of all sequences in order  # each [sum of lengths, ...].
    """

    lengths: Array
    values: Tensors

    @classmethod
    def of(cls, sequences: Sequence[Tensors]) -> Self:
        """Lays sequences end to end, at least one; each has values [T, ...]."""
        lengths = [len(next(iter(values.values()))) for values in sequences]
        together = {name: np.concatenate([values[name] for values in sequences]) for name in sequences[0]}
        return cls(np.array(lengths, np.int32), together)

    def __len__(self) -> int:
        """Returns the number of sequences."""
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """The sum of the lengths."""
        return int(self.lengths.sum())

    @property
    def nbytes(self) -> int:
        """The size of the values in bytes."""
        return sum(array.nbytes for array in self.values.values())

    def split(self, counts: Sequence[int]) -> Iterator["Ragged"]:
        """Yields so many of the sequences, then so many of the next; views, not copies."""
        first = start = 0
        for count in counts:
            lengths = self.lengths[first : first + count]
            end = start + int(lengths.sum())
            yield Ragged(lengths, {name: array[start:end] for name, array in self.values.items()})
            first, start = first + count, end


def joined(parts: Sequence[Ragged]) -> Ragged:
    """Returns the sequences of several in order, at least one."""
    if len(parts) == 1:
        return parts[0]
    values = {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values}
    return Ragged(np.concatenate([part.lengths for part in parts]), values)


@dataclass(frozen=True, slots=True)
class Grid:
    """The batch sizes B that a model is compiled for, and the length buckets that its sequences wait in; both rise.

    A step takes sequences of any length up to the longest bucket, which is its capacity.
    """

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
    def capacity(self) -> int:
        """The length of the longest sequence."""
        return self.lengths[-1]

    def expected_padding(self, counts: Mapping[int, int]) -> float:
        """Returns the share of padding where each of `counts` of a length is padded to its bucket, at most."""
        cut = {length: min(length, self.lengths[-1]) for length in counts}
        tokens = sum(count * cut[length] for length, count in counts.items())
        cells = sum(count * self.bucket(cut[length]) for length, count in counts.items())
        return 1 - tokens / cells if cells else 0.0


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """Rows of a batch, right-padded with zeros.

    Attributes:
        inputs: each [B, T, ...], and `lengths`  # [B] int32, 1 in filler rows.
        real: the cells of the sequences, which are the first rows  # [N, T] bool.
        shape: (B, T).
    """

    inputs: dict[str, Array]
    real: Array
    shape: tuple[int, int]


def pad(sequences: Ragged, specs: Mapping[str, TensorSpec], shape: tuple[int, int]) -> PaddedBatch:
    """Pads sequences, at most B of them, to the shape (B, T).

    Filler rows are all padding and have length 1, since a row of length 0 has no last step to read.
    """
    b, t = shape
    rows = len(sequences)
    real = np.arange(t, dtype=np.int32) < sequences.lengths[:, None]  # [N, T]
    inputs: dict[str, Array] = {}
    for name, spec in specs.items():
        if name != "lengths":
            inputs[name] = np.zeros((b, t, *sizes_of(spec)), spec.dtype)
            inputs[name][:rows][real] = sequences.values[name]
    inputs["lengths"] = np.ones(b, np.int32)
    inputs["lengths"][:rows] = sequences.lengths
    return PaddedBatch(inputs, real, shape)


def unpad(outputs: Tensors, batch: PaddedBatch, timed: frozenset[str]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Takes the padding away; returns the `timed` outputs and the others.

    Outputs with a time axis are [B, T or more, ...] and become [sum of lengths, ...]; the others, [B, ...], become
    [N, ...].
    """
    rows, t = batch.real.shape
    with_time = {name: values[:rows, :t][batch.real] for name, values in outputs.items() if name in timed}
    return with_time, {name: values[:rows] for name, values in outputs.items() if name not in timed}


def full_rows(specs: Mapping[str, TensorSpec], shape: tuple[int, int]) -> dict[str, Array]:
    """Returns the inputs of a batch (B, T) whose rows are all of length T, of zeros."""
    b, t = shape
    inputs = {name: np.zeros((b, t, *sizes_of(spec)), spec.dtype) for name, spec in specs.items() if name != "lengths"}
    return inputs | {"lengths": np.full(b, t, np.int32)}


def sizes_of(spec: TensorSpec) -> tuple[int, ...]:
    """Returns the sizes of the axes of an input behind [B, T]."""
    return tuple(axis for axis in spec.axes[2:] if isinstance(axis, int))


def starts_of(lengths: Sequence[int]) -> list[int]:
    """Returns where each of some sequences that are laid end to end begins, and where the last one ends."""
    return list(accumulate(lengths, initial=0))

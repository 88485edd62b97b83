"""Examples, and the padded batches that they are collated to."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

IGNORED = -1  # the target at padding: no loss, no score


@dataclass(frozen=True, slots=True)
class Example:
    """One example, without a batch axis.

    Inputs and targets have time as their first axis, or no axis where there is one value for the whole example.
    `source` is the text or its words, for goldens.
    """

    source: str | tuple[str, ...]
    inputs: dict[str, Array]
    targets: dict[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        """Returns the number of positions: the length of the first input."""
        return len(next(iter(self.inputs.values())))


class Examples:
    """A sequence of examples that are made on access, so that their data can stay on disk.

    Args:
        lengths: the length of each example, shape [N].
        make: makes the example of an index.
    """

    def __init__(self, lengths: Array, make: Callable[[int], Example]) -> None:
        self.lengths = lengths
        self._make = make

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Self:
        """Wraps examples that exist already."""
        return cls(np.fromiter(map(len, examples), np.int64, len(examples)), examples.__getitem__)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, i: int) -> Example:
        return self._make(i)

    def __add__(self, others: "Examples") -> "Examples":
        own = len(self)
        lengths: Array = np.concatenate([self.lengths, others.lengths])
        return Examples(lengths, lambda i: self[i] if i < own else others[i - own])

    def sample(self, tokens: int, rng: np.random.Generator) -> "Examples":
        """Returns a random sample with about this many tokens in total, or all examples if there are fewer."""
        order = rng.permutation(len(self))
        chosen = order[: np.searchsorted(np.cumsum(self.lengths[order]), tokens)]
        return Examples(self.lengths[chosen], lambda i: self[int(chosen[i])])


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples padded on the right to the longest of them: inputs with 0, targets with IGNORED.

    `inputs` has `lengths`, int32, shape [B], beside the inputs of the examples, each of shape [B, T, ...].
    """

    inputs: dict[str, Array]
    targets: dict[str, Array]

    @property
    def tokens(self) -> int:
        """Number of valid positions."""
        return int(self.inputs["lengths"].sum())


class Batches:
    """The batches of an epoch, made one at a time: together they would take as much memory as the corpus.

    Args:
        rows: what each batch is made of.
        make: makes a batch of that.
    """

    def __init__(self, rows: Sequence[Any], make: Callable[[Any], Batch]) -> None:
        self._rows, self._make = rows, make

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Batch]:
        return map(self._make, self._rows)

    def map(self, change: Callable[[Batch], Batch]) -> "Batches":
        """Returns the batches with a function applied to each."""
        return Batches(self._rows, lambda rows: change(self._make(rows)))


def collate(examples: Sequence[Example]) -> Batch:
    """Pads examples and joins them to one batch."""
    first = examples[0]
    lengths = np.fromiter(map(len, examples), np.int32, len(examples))
    inputs = {name: _pad([e.inputs[name] for e in examples], 0) for name in first.inputs}
    targets = {name: _pad([e.targets[name] for e in examples], IGNORED) for name in first.targets}
    return Batch(inputs | {"lengths": lengths}, targets)


def bucketed(examples: Examples, batch_tokens: int, rng: np.random.Generator) -> Batches:
    """Groups examples of similar length into shuffled batches of up to `batch_tokens` positions, including padding.

    Lengths are multiplied by a random factor of 1 ± 0.1 before sorting, so that batches differ between epochs.
    """
    lengths = examples.lengths
    keys = lengths * rng.uniform(0.9, 1.1, len(examples)) + rng.random(len(examples))
    rows_of_batches = shuffled_batches(keys, lengths, batch_tokens, rng)
    return Batches(rows_of_batches, lambda rows: collate([examples[i] for i in rows]))


def shuffled_batches(
    keys: Array, lengths: Sequence[int] | Array, batch_tokens: int, rng: np.random.Generator
) -> list[list[int]]:
    """Groups rows in the order of their keys into batches, see `cut_batches`; returns these in random order."""
    batches = cut_batches(np.argsort(keys, kind="stable"), lengths, batch_tokens)
    return [batches[i] for i in rng.permutation(len(batches))]


def length_sorted(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Groups examples, sorted by length, into batches of up to `batch_tokens` positions; returns their indices."""
    return cut_batches(np.argsort(lengths, kind="stable"), lengths, batch_tokens)


def cut_batches(order: Array, lengths: Sequence[int] | Array, batch_tokens: int) -> list[list[int]]:
    """Groups rows in the given order; a new batch starts where rows times their longest would pass `batch_tokens`."""
    batches: list[list[int]] = []
    longest = 0
    for row in order.tolist():
        longest = max(longest, int(lengths[row]))
        if not batches or longest * (len(batches[-1]) + 1) > batch_tokens:
            batches.append([])
            longest = int(lengths[row])
        batches[-1].append(row)
    return batches


def of_lengths(examples: Sequence[Example], lengths: Sequence[int]) -> list[Example]:
    """Returns, for each length, the shortest example that is at least that long, or else the longest; each one once."""
    ordered = sorted(examples, key=len)
    if not ordered:
        return []
    chosen = {min(bisect_left(ordered, length, key=len), len(ordered) - 1) for length in lengths}
    return [ordered[i] for i in sorted(chosen)]


def _pad(arrays: Sequence[Array], value: int) -> Array:
    if arrays[0].ndim == 0:
        return np.stack(arrays)
    longest = max(map(len, arrays))
    padded = np.full((len(arrays), longest, *arrays[0].shape[1:]), value, arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded

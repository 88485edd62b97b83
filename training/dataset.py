"""Examples, and the padded batches that they become."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

IGNORED = -1  # the target at padding: no loss, no score


@dataclass(frozen=True, slots=True)
class Example:
    """One example, without a batch axis.

    Inputs and targets have time as their first axis, or none where there is one value for the whole example.
    `source` is what was read, for goldens.
    """

    source: str | tuple[str, ...]
    inputs: dict[str, Array]
    targets: dict[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of positions: the length of the first input."""
        return len(next(iter(self.inputs.values())))


class Examples:
    """Examples that are made when they are asked for, so that they may lie on disk until then.

    Args:
        lengths: of each  # [N].
        make: makes one, by its number.
    """

    def __init__(self, lengths: Array, make: Callable[[int], Example]) -> None:
        self.lengths = lengths
        self._make = make

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Self:
        """Returns examples that are there already."""
        return cls(np.fromiter(map(len, examples), np.int64, len(examples)), examples.__getitem__)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, i: int) -> Example:
        return self._make(i)

    def __add__(self, others: "Examples") -> "Examples":
        own = len(self)
        lengths: Array = np.concatenate([self.lengths, others.lengths])
        return Examples(lengths, lambda i: self[i] if i < own else others[i - own])

    def some(self, tokens: int, rng: np.random.Generator) -> "Examples":
        """Returns examples at random, of about so many tokens together, or all where there are fewer."""
        order = rng.permutation(len(self))
        chosen = order[: np.searchsorted(np.cumsum(self.lengths[order]), tokens)]
        return Examples(self.lengths[chosen], lambda i: self[int(chosen[i])])


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples padded on the right to the longest of them: inputs with 0, targets with IGNORED.

    `inputs` holds `lengths`  # [B] int32, beside the inputs of the examples  # [B, T, ...]. Those that `common` names
    have no axis of rows.
    """

    inputs: dict[str, Array]
    targets: dict[str, Array]
    common: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        """B."""
        return len(self.inputs["lengths"])

    @property
    def tokens(self) -> int:
        """Number of valid positions."""
        return int(self.inputs["lengths"].sum())

    def every(self, step: int, start: int) -> "Batch":
        """Returns the rows start, start + step, start + 2 step, and so on."""
        inputs = {name: a if name in self.common else a[start::step] for name, a in self.inputs.items()}
        return replace(self, inputs=inputs, targets={name: a[start::step] for name, a in self.targets.items()})


class Batches:
    """The batches of an epoch, each made when it is its turn: together they would take as much memory as the corpus.

    Args:
        rows: what each batch is made of.
        make: makes it.
    """

    def __init__(self, rows: Sequence[Any], make: Callable[[Any], Batch]) -> None:
        self._rows, self._make = rows, make

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Batch]:
        return map(self._make, self._rows)

    def changed(self, change: Callable[[Batch], Batch]) -> "Batches":
        """Returns the batches with a change to each."""
        return Batches(self._rows, lambda rows: change(self._make(rows)))


def collate(examples: Sequence[Example]) -> Batch:
    """Pads examples to one batch."""
    first = examples[0]
    lengths = np.fromiter(map(len, examples), np.int32, len(examples))
    inputs = {name: _pad([e.inputs[name] for e in examples], 0) for name in first.inputs}
    targets = {name: _pad([e.targets[name] for e in examples], IGNORED) for name in first.targets}
    return Batch(inputs | {"lengths": lengths}, targets)


def bucketed(examples: Examples, batch_tokens: int, rng: np.random.Generator, spread: float = 0.1) -> Batches:
    """Cuts examples of similar length into shuffled batches of up to `batch_tokens` positions, padding too.

    Lengths are blurred by up to `spread` of themselves before they are sorted, so that an example meets other
    neighbours in each epoch.
    """
    lengths = examples.lengths
    keys = lengths * rng.uniform(1 - spread, 1 + spread, len(examples)) + rng.random(len(examples))
    batches = _cuts(np.argsort(keys), lengths, batch_tokens)
    order = [batches[i] for i in rng.permutation(len(batches))]
    return Batches(order, lambda rows: collate([examples[i] for i in rows]))


def in_length_order(examples: Sequence[Example], batch_tokens: int) -> list[list[int]]:
    """Cuts examples, by length, into batches of up to `batch_tokens` positions; returns their indices."""
    lengths = np.fromiter(map(len, examples), np.int64, len(examples))
    return _cuts(np.argsort(lengths, kind="stable"), lengths, batch_tokens)


def _cuts(order: Array, lengths: Array, batch_tokens: int) -> list[list[int]]:
    """Cuts rows, taken in `order`, where rows times the longest of them would pass `batch_tokens`."""
    batches: list[list[int]] = []
    longest = 0
    for row in order.tolist():
        longest = max(longest, int(lengths[row]))
        if not batches or longest * (len(batches[-1]) + 1) > batch_tokens:
            batches.append([])
            longest = int(lengths[row])
        batches[-1].append(row)
    return batches


def _pad(arrays: Sequence[Array], value: int) -> Array:
    if arrays[0].ndim == 0:
        return np.stack(arrays)
    longest = max(map(len, arrays))
    padded = np.full((len(arrays), longest, *arrays[0].shape[1:]), value, arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded


def without_batch_axis(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Returns the one row of a batch of one."""
    return {name: array[0] for name, array in arrays.items()}

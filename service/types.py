"""Types that every part of the service shares: arrays, sequences laid end to end, model versions and their states."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tensors = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class ModelKey:
    """A model version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


class State(StrEnum):
    """Where an engine, or one model in it, is in its life."""

    STARTING = "starting"
    READY = "ready"
    AWAY = "away"  # it does not answer, and may again
    SUPERSEDED = "superseded"  # it answers until its callers have found the engine that takes its place
    DRAINING = "draining"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model version and whether it serves; `reason` says why one is refused.

    `share` is the part of the requests for the model, 0 to 1, that name no version and go to this one. A `default`
    model answers requests for its task that name none; where nobody has said which, the first by name does.
    """

    key: ModelKey
    state: State
    reason: str | None = None
    share: float = 1.0
    default: bool = True


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


class Sampled(NamedTuple):
    """A generated token; where its request asks for it, with its log probability.

    That is by the model's own distribution, before temperature, top-k and top-p. `top` are the most probable tokens, at
    most 5, each with its own. `queue_seconds` says for how long its text waited for a slot, `batch_size` how many texts
    had a token from the same step.
    """

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    queue_seconds: float = 0.0
    batch_size: int = 1

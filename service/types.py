"""Types shared by all parts of the service: arrays, concatenated sequences, model versions and their states."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tensors = Mapping[str, Array]


class ModelKey(NamedTuple):
    """A model version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


class State(StrEnum):
    """The state of a process, its engine, or a model in it."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model version's state; `reason` says why it is refused, or its files as they are now if it serves all the same.

    `share` is its fraction, 0 to 1, of the requests for the model that name no version. A `default` model serves
    requests for its task that name no model; if none is configured, the first by name does.

    Attributes:
        named: whether requests may name the version: once all processes of the service have it.
        task, description: of its manifest, if known.
    """

    key: ModelKey
    state: State
    reason: str | None = None
    share: float = 1.0
    default: bool = True
    named: bool = True
    task: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Ragged:
    """Sequences of different lengths, concatenated.

    Attributes:
        lengths: of each sequence  # [N] int32.
        values: by name, of all sequences in order  # each [sum of lengths, ...].
    """

    lengths: Array
    values: Tensors

    @classmethod
    def of(cls, sequences: Sequence[Tensors]) -> Self:
        """Concatenates at least one sequence; each has values [T, ...]."""
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

    def split(self, counts: Sequence[int]) -> Iterator["Ragged"]:
        """Yields the next `count` sequences for each count; views, not copies."""
        first = start = 0
        for count in counts:
            lengths = self.lengths[first : first + count]
            end = start + int(lengths.sum())
            yield Ragged(lengths, {name: array[start:end] for name, array in self.values.items()})
            first, start = first + count, end


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


class Sampled(NamedTuple):
    """A generated token; on request, with its log probability.

    That is by the model's own distribution, before temperature, top-k and top-p. `top` are the most probable tokens, at
    most 5, with theirs. `queue_seconds` is how long the text waited for a slot, `batch_size` how many texts got a token
    in the same step.
    """

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    queue_seconds: float = 0.0
    batch_size: int = 1

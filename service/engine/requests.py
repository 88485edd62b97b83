"""What an engine is asked to run, and what it returns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from service.types import Array, ModelKey, Ragged, joined

ANONYMOUS = 0  # the client of requests without an API key


@dataclass(frozen=True, slots=True)
class Inference:
    """A request: sequences for one model.

    `deadline` is a time of the monotonic clock, in seconds. `further` names outputs to return besides the default ones,
    where the model has them. `begun` marks a later step of a request: it is admitted even if the queue is full.
    `client` is the number of the API key's owner: the device's time is divided fairly between clients.
    """

    model: ModelKey
    sequences: Ragged
    deadline: float
    further: frozenset[str] = frozenset()
    begun: bool = False
    client: int = ANONYMOUS


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests for one model as columns. For each attribute see `Inference`.

    Attributes:
        sequences: of all requests in order.
        counts: sequences of each request, at least one.
        deadlines, clients: of each request.
    """

    model: ModelKey
    sequences: Ragged
    counts: Sequence[int]
    deadlines: Sequence[float]
    clients: Sequence[int]
    further: frozenset[str] = frozenset()
    begun: bool = False

    @classmethod
    def of(cls, request: Inference) -> Self:
        """Converts one request to columns."""
        counts, deadlines, clients = [len(request.sequences)], [request.deadline], [request.client]
        return cls(request.model, request.sequences, counts, deadlines, clients, request.further, request.begun)

    @classmethod
    def joined(cls, parts: Sequence["Requests"]) -> "Requests":
        """Joins requests that differ in sequences, deadlines and clients alone, at least one."""
        first = parts[0]
        return Requests(
            first.model,
            joined([part.sequences for part in parts]),
            [count for part in parts for count in part.counts],
            [deadline for part in parts for deadline in part.deadlines],
            [client for part in parts for client in part.clients],
            first.further,
            first.begun,
        )

    def each(self) -> Iterator["Requests"]:
        """Yields each request separately."""
        parts = zip(self.sequences.split(self.counts), self.counts, self.deadlines, self.clients, strict=True)
        for sequences, count, deadline, client in parts:
            yield Requests(self.model, sequences, [count], [deadline], [client], self.further, self.begun)


@dataclass(slots=True)
class Outcome:
    """The outputs of a request, and its times (of its slowest sequence).

    Attributes:
        outputs: those with a time axis, of all sequences concatenated, [sum of lengths, ...]; the others [N, ...].
        batch_size: sequences in the largest batch that ran any of them, other requests' included.
    """

    outputs: dict[str, Array]
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0
    batch_size: int = 0


class Sampling(NamedTuple):
    """How the next token is chosen.

    `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 keep every token. The random number of a position depends on
    (seed, position) alone.
    """

    temperature: float
    top_k: int
    top_p: float
    seed: int


@dataclass(frozen=True, slots=True)
class Generation:
    """A text to continue: `prompt` ids [T] int32, at least one.

    `logprobs` requests those of each token. Without `at_once`, tokens may arrive in groups, which costs less. For
    `client` see `Inference`.
    """

    model: ModelKey
    prompt: Array
    max_tokens: int
    sampling: Sampling
    deadline: float
    logprobs: bool = False
    at_once: bool = True
    client: int = ANONYMOUS

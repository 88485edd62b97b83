"""What an engine is asked to run, and what it returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.types import Array, ModelKey, Ragged

ANONYMOUS = 0  # the client of requests without an API key


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests for one model as columns: their sequences are concatenated.

    Attributes:
        counts: sequences of each request, at least one.
        deadlines: of each request, times of the monotonic clock in seconds.
        clients: of each request the number of the API key's owner: the device's time is divided fairly between clients.
        extra_outputs: names of outputs to return besides the default ones, where the model has them.
        begun: marks later chunks of a request: they are admitted even if the queue is full.
    """

    model: ModelKey
    sequences: Ragged
    counts: Sequence[int]
    deadlines: Sequence[float]
    clients: Sequence[int]
    extra_outputs: frozenset[str] = frozenset()
    begun: bool = False


@dataclass(slots=True)
class Outcome:
    """The outputs of a request, and its times (of its slowest sequence).

    Attributes:
        outputs: those with a time axis, of all sequences concatenated, [sum of lengths, ...]; the others [N, ...].
        batch_size: sequences in the largest batch that ran any of them, other requests' included.
    """

    outputs: dict[str, Array]
    queue_seconds: float
    inference_seconds: float
    batch_size: int


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
    `client` see `Requests`.
    """

    model: ModelKey
    prompt: Array
    max_tokens: int
    sampling: Sampling
    deadline: float
    logprobs: bool = False
    at_once: bool = True
    client: int = ANONYMOUS

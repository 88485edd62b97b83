"""The interface of an engine, local or remote."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from service.types import Array, ModelKey, ModelState, Ragged, Sampled, State

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


@dataclass(frozen=True, slots=True)
class Generation:
    """A text to continue: `prompt` ids [T] int32, at least one, and the sampling options.

    `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 keep every token. The random number of a position depends on
    (seed, position) alone. `logprobs` requests those of each token. Without `at_once`, tokens may arrive in groups,
    which costs less. For `client` see `Inference`.
    """

    model: ModelKey
    prompt: Array
    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    deadline: float
    logprobs: bool = False
    at_once: bool = True
    client: int = ANONYMOUS


# Called in the event loop after each change of the state of an engine or one of its models. A returned awaitable
# completes when the change has been handled.
OnChange = Callable[[], Awaitable[None] | None]


class Engine(Protocol):
    """Batches and runs requests. Raises errors of `service.errors`."""

    def state(self) -> State:
        """Returns the state of the engine."""

    def models(self) -> Sequence[ModelState]:
        """Lists the model versions that are loaded or refused."""

    async def start(self, on_change: OnChange) -> None:
        """Starts the engine; calls `on_change` after each change of its state or its models' states.

        Raises ConfigurationError. Logs errors of `on_change`.
        """

    async def infer(self, request: Inference) -> Outcome:
        """Runs all sequences of a request. Cancelling the call removes waiting ones from the queue.

        Raises Overloaded, DeadlineExceeded, DeviceFailed, EngineUnavailable.
        """

    def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the generated tokens, at most max_tokens. Closing the iterator frees the slot at the next step.

        Raises Overloaded, DeadlineExceeded, DeviceFailed, EngineUnavailable.
        """

    def cut_texts(self) -> None:
        """Ends the texts being generated where they are: each iterator stops as if its text were complete."""

    async def close(self) -> None:
        """Finishes all admitted work, accepts no more, and releases the device."""

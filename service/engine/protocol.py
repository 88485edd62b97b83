"""What a caller of the engine sees, wherever the engine runs."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from service.types import Array, ModelKey, ModelState, Ragged, Sampled, State


@dataclass(frozen=True, slots=True)
class Inference:
    """A request: sequences for one model.

    `deadline` is a moment of the monotonic clock, in seconds. `further` names outputs that are wanted beyond the usual
    ones; those that the model has come with the others. A request that is `begun` has had an earlier step done: it is
    admitted however much waits.
    """

    model: ModelKey
    sequences: Ragged
    deadline: float
    further: frozenset[str] = frozenset()
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests for one model as columns. See `Inference` for what each attribute says of one.

    Attributes:
        sequences: of all requests in order.
        counts: how many of them each request has, at least one.
        deadlines: of each request.
    """

    model: ModelKey
    sequences: Ragged
    counts: Sequence[int]
    deadlines: Sequence[float]
    further: frozenset[str] = frozenset()
    begun: bool = False

    @classmethod
    def of(cls, request: Inference) -> Self:
        """Returns one request as columns."""
        counts, deadlines = [len(request.sequences)], [request.deadline]
        return cls(request.model, request.sequences, counts, deadlines, request.further, request.begun)

    def each(self) -> Iterator["Requests"]:
        """Yields each request by itself."""
        parts = zip(self.sequences.split(self.counts), self.counts, self.deadlines, strict=True)
        for sequences, count, deadline in parts:
            yield Requests(self.model, sequences, [count], [deadline], self.further, self.begun)


@dataclass(slots=True)
class Outcome:
    """The outputs of a request, and where its time went (the longest of its sequences).

    Attributes:
        outputs: those with a time axis of all sequences laid end to end, [sum of lengths, ...]; the others [N, ...].
        batch_size: the sequences in the largest of the batches that they ran in, other requests' included.
    """

    outputs: dict[str, Array]
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0
    batch_size: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """A text to continue: `prompt` ids [T] int32, at least one, and how to sample.

    `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 keep every token. The number for the token at a position is
    drawn from (seed, position) alone. `logprobs` asks for those of each token. Where none is wanted `at_once`, they may
    come a few together, which costs the engine and its caller less.
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


# Called in the event loop whenever the state of an engine or of one of its models has changed. Where it returns an
# awaitable, the change has been taken in once that is done.
OnChange = Callable[[], Awaitable[None] | None]


class Engine(Protocol):
    """Batches and runs what callers ask for. Errors are those of `service.errors`."""

    def state(self) -> State:
        """Says whether the engine takes requests."""

    def models(self) -> Sequence[ModelState]:
        """Lists the model versions that it has, or refused."""

    async def start(self, on_change: OnChange) -> None:
        """Starts it, and calls `on_change` whenever its state or its models' states have changed.

        Raises ConfigurationError. An error of `on_change` is logged.
        """

    async def infer(self, request: Inference) -> Outcome:
        """Runs all sequences of a request. Cancelling the call takes those that wait out of the queue.

        Raises Overloaded, DeadlineExceeded, DeviceFailed, EngineUnavailable.
        """

    def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the generated tokens, at most max_tokens. Closing the iterator frees the slot at the next step.

        Raises Overloaded, DeadlineExceeded, DeviceFailed, EngineUnavailable.
        """

    def cut_texts(self) -> None:
        """Lets the texts that are being generated end where they are: each iterator stops, as if it were complete."""

    async def close(self) -> None:
        """Finishes what is admitted, takes no more, and gives the device back."""

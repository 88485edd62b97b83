"""What a caller of the engine sees, wherever the engine runs."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from service.engine.padding import Array, Tensors


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
    SUPERSEDED = "superseded"  # it answers until its callers have found the engine that takes its place
    DRAINING = "draining"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model version and whether it serves; `reason` says why one is refused.

    `share` is the part of the requests for the model, 0 to 1, that name no version and go to this one.
    """

    key: ModelKey
    state: State
    reason: str | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Inference:
    """Sequences of one request for one model. Each example's inputs are [T, ...], without a batch axis.

    `deadline` is a moment of the monotonic clock, in seconds. `further` names outputs that are wanted beyond the usual
    ones; those that the model has come with the others. A request that is `begun` has had an earlier step done: it is
    taken however much waits.
    """

    model: ModelKey
    examples: Sequence[Tensors]
    deadline: float
    further: frozenset[str] = frozenset()
    begun: bool = False


@dataclass(slots=True)
class Outcome:
    """The outputs of each example, in order, and where the time went (the longest of the examples).

    `batch_size` counts the sequences in the largest of the batches that they rode in, other requests' included.
    """

    outputs: list[dict[str, Array]]
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


class Engine(Protocol):
    """Batches and runs what callers ask for. Errors are those of `service.errors`."""

    def state(self) -> State:
        """Says whether the engine takes requests."""

    def models(self) -> Sequence[ModelState]:
        """Lists the model versions that it has, or refused."""

    async def start(self, on_change: Callable[[], None]) -> None:
        """Starts it. `on_change` is called in the event loop whenever its state or its models' states have changed.

        Raises ConfigurationError.
        """

    async def infer(self, request: Inference) -> Outcome:
        """Runs all examples of a request. Cancelling the call takes its entries out of the queue.

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

"""A queue of sequences by model and client, bounded in sequences and tokens."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from service.engine.padding import Outputs
from service.engine.requests import ANONYMOUS, Requests
from service.errors import Overloaded, TagwerkError
from service.types import ModelKey

SPREAD = 8  # how far a request's sequences are spread: this many long requests leave time for a short one
MAX_RETRY_SECONDS = 60.0  # upper bound of Retry-After


class Place(NamedTuple):
    """The location of a sequence's outputs among those of its batch: its row, and its first cell."""

    outputs: Outputs
    row: int
    cell: int


OnDone = Callable[[Sequence["EngineRequest"]], None]  # called with requests that are over


@dataclass(slots=True, eq=False)
class EngineRequest:
    """A request in the engine. It ends when each of its sequences has outputs, or at its first error.

    Attributes:
        columns: the requests that were submitted together, this one among them.
        starts: start of each of its sequences in the values of `columns`.
        on_done: called when it is over, unless it is abandoned.
        owner: of the caller's choice; what the request belongs to.
    """

    columns: Requests
    client: int
    arrived: float
    deadline: float
    lengths: list[int]
    starts: list[int]
    on_done: OnDone
    owner: Any = None
    waiting: list[bool] = field(init=False)  # of each sequence
    places: list[Place | None] = field(init=False)
    remaining: int = field(init=False)  # sequences without outputs
    taken: int = 0  # sequences taken into a batch
    error: TagwerkError | None = None
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0
    batch_size: int = 0  # sequences in the largest of its batches

    def __post_init__(self) -> None:
        self.remaining = len(self.lengths)
        self.waiting = [True] * self.remaining
        self.places = [None] * self.remaining


class QueuedSequence(NamedTuple):
    """A sequence in the queue. Sequences are ordered by `turn`, then by admission."""

    turn: float
    number: int  # of the admission
    request: EngineRequest
    position: int  # among the sequences of the request
    length: int  # its tokens


@dataclass(slots=True)
class Client:
    """A client's waiting sequences and their tokens, and the tokens of its sequences that were taken.

    `served` is on a scale shared by all clients: for a client that had nothing waiting, it starts at the value that the
    client of the last plan had before that plan.
    """

    served: int
    sequences: int = 0
    tokens: int = 0


NOTHING = Client(0)


class Queue:
    """Bounded priority queues, one per model and client.

    Of a model, the client with the least tokens served is next, so that no client's sequences wait for another client's
    backlog (start-time fair queueing, Goyal et al. 1996). Nor does a backlog fill the queue: an API key that has
    something waiting may add at most the remaining capacity (dynamic thresholds, Choudhury and Hahne 1998), so that
    one key alone fills half of the queue, and the rest remains for others.

    A request's first sequence has its arrival time as its turn. Each further one is later by `SPREAD` times the device
    time of the sequences before it, so that a short request behind a long one does not wait for all of it. No sequence
    starves: later arrivals get later turns.

    A sequence waits until it is taken into a batch, also while that is planned. Discarded sequences free their capacity
    at once, and are removed when they reach the head of their heap or are taken.

    Attributes:
        tokens_per_second: the device's throughput, for Retry-After; at first that of a slow processor.
    """

    def __init__(self, max_sequences: int, max_tokens: int) -> None:
        self.max_sequences = max_sequences
        self.max_tokens = max_tokens
        self.sequences = 0
        self.tokens = 0
        self.tokens_per_second = 10_000.0
        self._admitted = 0
        self._models: dict[ModelKey, dict[int, list[QueuedSequence]]] = {}  # by client; heaps
        self._clients: dict[int, Client] = {}  # those with something waiting
        self._virtual_time = 0  # tokens served to the client of the last plan, before that

    def rejection(self, client: int, sequences: int, tokens: int) -> Overloaded | None:
        """Returns the error for further sequences of a client, with this many tokens in all; None if they fit.

        An empty queue takes any: a request above the token bound could never be served otherwise.
        """
        if not self.sequences:
            return None
        own = NOTHING if client == ANONYMOUS else self._clients.get(client, NOTHING)
        for unit, waiting, most, of_client, more in (
            ("sequences", self.sequences, self.max_sequences, own.sequences, sequences),
            ("tokens", self.tokens, self.max_tokens, own.tokens, tokens),
        ):
            if waiting + more > most:
                problem, count = f"the queue is full: {waiting} of at most {most} {unit}", self.sequences
            elif of_client and of_client + more > most - waiting:
                share = f"it has {of_client} of {waiting} waiting {unit}"
                problem, count = f"the client's share of the queue is full: {share}", own.sequences
            else:
                continue
            seconds = min(self.tokens / self.tokens_per_second, MAX_RETRY_SECONDS)
            return Overloaded(f"{problem} (TAGWERK_MAX_QUEUE_TOKENS)", seconds, count)
        return None

    def put(self, request: EngineRequest, sequence_seconds: tuple[float, float]) -> None:
        """Admits all sequences of a request, or none: raises Overloaded if they do not fit.

        `sequence_seconds` is the device time of a sequence of the model: fixed, and per token. A request that is
        `begun` is always admitted, since the work done for it would be lost.
        """
        count, tokens = len(request.lengths), sum(request.lengths)
        fits = self.sequences + count <= self.max_sequences and self.tokens + tokens <= self.max_tokens
        rejection = None
        if not (request.columns.begun or (fits and request.client == ANONYMOUS)):
            rejection = self.rejection(request.client, count, tokens)
        if rejection is not None:
            raise rejection
        if (client := self._clients.get(request.client)) is None:
            client = self._clients[request.client] = Client(self._virtual_time)
        client.sequences += count
        client.tokens += tokens
        self.sequences += count
        self.tokens += tokens
        heap = self._models.setdefault(request.columns.model, {}).setdefault(request.client, [])
        turn, number = request.arrived, self._admitted
        fixed, per_token = sequence_seconds
        for position, length in enumerate(request.lengths):
            heapq.heappush(heap, QueuedSequence(turn, number, request, position, length))
            number += 1
            turn += SPREAD * (fixed + per_token * length)
        self._admitted = number

    def discard(self, request: EngineRequest) -> None:
        """Drops a request: frees the capacity of its waiting sequences."""
        for position, waits in enumerate(request.waiting):
            if waits:
                self._release(request, position)

    def heads(self) -> Iterator[tuple[ModelKey, int, int]]:
        """Yields each model that has something waiting, the tokens served to its next client, its next number."""
        for model in list(self._models):
            if (head := self._head(model)) is not None:
                yield model, self._clients[head.request.client].served, head.number

    def pop(
        self, model: ModelKey, most: int, most_seconds: float, sequence_seconds: tuple[float, float]
    ) -> list[QueuedSequence]:
        """Returns the next sequences of a model and removes them from their heaps; they wait until they are taken.

        There are at most `most`, and at most one more than take `most_seconds`. For `sequence_seconds` see `put`.
        """
        popped: list[QueuedSequence] = []
        seconds = 0.0
        fixed, per_token = sequence_seconds
        while len(popped) < most and seconds < most_seconds and (head := self._head(model)) is not None:
            clients = self._models[model]
            heap, client = clients[head.request.client], self._clients[head.request.client]
            if not popped:
                self._virtual_time = client.served
            while heap and len(popped) < most and seconds < most_seconds:
                sequence = heapq.heappop(heap)
                if sequence.request.waiting[sequence.position]:
                    popped.append(sequence)
                    seconds += fixed + per_token * sequence.length
                    client.served += sequence.length
                    if len(clients) > 1:  # another client may be next
                        break
        return popped

    def take(self, popped: Sequence[QueuedSequence]) -> list[QueuedSequence]:
        """Removes popped sequences from the queue, and returns those that are not discarded."""
        taken = [sequence for sequence in popped if sequence.request.waiting[sequence.position]]
        for sequence in taken:
            self._release(sequence.request, sequence.position)
        return taken

    @property
    def clients(self) -> int:
        """Number of clients with something waiting."""
        return len(self._clients)

    def _head(self, model: ModelKey) -> QueuedSequence | None:
        """Returns the next sequence of a model: the first one of the client with the least tokens served."""
        clients, heads = self._models.get(model, {}), list[tuple[int, QueuedSequence]]()
        for client, heap in list(clients.items()):
            while heap and not heap[0].request.waiting[heap[0].position]:
                heapq.heappop(heap)
            if heap:
                heads.append((self._clients[client].served, heap[0]))
            else:
                del clients[client]
        if not heads:
            self._models.pop(model, None)
            return None
        return min(heads)[1]

    def _release(self, request: EngineRequest, position: int) -> None:
        request.waiting[position] = False
        self.sequences -= 1
        self.tokens -= request.lengths[position]
        client = self._clients[request.client]
        client.sequences -= 1
        client.tokens -= request.lengths[position]
        if not client.sequences:
            del self._clients[request.client]

"""A queue of sequences by model and client, bounded in sequences and tokens."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from service.engine.requests import ANONYMOUS, Requests
from service.errors import Overloaded, TagwerkError
from service.types import Array, ModelKey

SPREAD = 8  # how far a request's sequences are spread: this many long requests leave time for a short one
MAX_RETRY_SECONDS = 60.0  # upper bound of Retry-After


class Place(NamedTuple):
    """The location of a sequence's outputs in the arrays of its batch.

    Attributes:
        timed: outputs with a time axis  # each [cells, ...], from `cell` on.
        others: outputs without one  # each [rows, ...], at `row`.
    """

    timed: dict[str, Array]
    others: dict[str, Array]
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

    @property
    def model(self) -> ModelKey:
        """The requested model version."""
        return self.columns.model

    @property
    def further(self) -> frozenset[str]:
        """The outputs requested besides the default ones."""
        return self.columns.further


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


class Queue:
    """Bounded priority queues, one per model and client.

    Of a model, the client with the least tokens served is next, so that no client's sequences wait for another client's
    backlog (start-time fair queueing, Goyal et al. 1996). Nor does a backlog fill the queue: an API key that has
    something waiting may add at most the remaining capacity (dynamic thresholds, Choudhury and Hahne 1998), so that
    one key alone fills half of the queue, and the rest remains for others.

    A request's first sequence has its arrival time as its turn. Each further one is later by `SPREAD` times the device
    time of the sequences before it, so that a short request behind a long one does not wait for all of it. No sequence
    starves: later arrivals get later turns.

    A sequence waits until it is taken into a batch, also while that is planned. Cancelled sequences free their capacity
    at once, and are removed when they reach the head of their heap or are taken. So are expired ones; their callers
    watch the deadline themselves.
    """

    def __init__(self, max_sequences: int, max_tokens: int) -> None:
        self.max_sequences = max_sequences
        self.max_tokens = max_tokens
        self.sequences = 0
        self.tokens = 0
        self._admitted = 0
        self._models: dict[ModelKey, dict[int, list[QueuedSequence]]] = {}  # by client; heaps
        self._clients: dict[int, Client] = {}  # those with something waiting
        self._virtual_time = 0  # tokens served to the client of the last plan, before that

    def check(self, client: int, tokens_per_second: float) -> Overloaded | None:
        """Returns the error with which any request of a client would be rejected, or None."""
        return self._rejection(client, 1, 1, tokens_per_second) if self.sequences else None

    def put(self, request: EngineRequest, tokens_per_second: float, sequence_seconds: tuple[float, float]) -> None:
        """Admits all sequences of a request, or none: raises Overloaded if they do not fit.

        Args:
            tokens_per_second: the device's throughput.
            sequence_seconds: the device time of a sequence of the model: fixed, and per token.

        An empty queue admits any request: one above the token bound could never be served otherwise. A request that is
        `begun` is always admitted, since the work done for it would be lost.
        """
        count, tokens = len(request.lengths), sum(request.lengths)
        client = self._clients.get(request.client)
        if self.sequences and not request.columns.begun:
            fits = self.sequences + count <= self.max_sequences and self.tokens + tokens <= self.max_tokens
            if not fits or (client is not None and request.client != ANONYMOUS):
                rejection = self._rejection(request.client, count, tokens, tokens_per_second)
                if rejection is not None:
                    raise rejection
        if client is None:
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

    def _rejection(self, number: int, sequences: int, tokens: int, tokens_per_second: float) -> Overloaded | None:
        """Returns the error for further sequences of a client that do not fit, with this many tokens in all."""
        if self.sequences + sequences <= self.max_sequences and self.tokens + tokens <= self.max_tokens:
            client = self._clients.get(number)
            if number == ANONYMOUS or client is None or not (full := self._share_exceeded(client, sequences, tokens)):
                return None
            problem, waiting = f"the client's share of the queue is full: {full}", client.sequences
        else:
            problem, waiting = f"the queue is full: {self._exceeded(sequences)}", self.sequences
        return Overloaded(problem, min(self.tokens / tokens_per_second, MAX_RETRY_SECONDS), waiting)

    def _exceeded(self, sequences: int) -> str:
        """Says which limit further sequences exceed; that of tokens, if not that of sequences."""
        if self.sequences + sequences > self.max_sequences:
            return f"{self.sequences} of at most {self.max_sequences} sequences (TAGWERK_MAX_QUEUE_ENTRIES)"
        return f"{self.tokens} of at most {self.max_tokens} tokens (TAGWERK_MAX_QUEUE_TOKENS)"

    def _share_exceeded(self, client: Client, sequences: int, tokens: int) -> str:
        """Says which limit's remaining capacity further sequences of a client exceed; "" if none."""
        if client.sequences + sequences > self.max_sequences - self.sequences:
            return f"it has {client.sequences} of {self.sequences} waiting sequences (TAGWERK_MAX_QUEUE_ENTRIES)"
        if client.tokens + tokens > self.max_tokens - self.tokens:
            return f"it has {client.tokens} of {self.tokens} waiting tokens (TAGWERK_MAX_QUEUE_TOKENS)"
        return ""

    def discard(self, request: EngineRequest) -> None:
        """Drops a request: frees the capacity of its waiting sequences."""
        for position, waits in enumerate(request.waiting):
            if waits:
                self._release(request, position, request.lengths[position])

    def heads(self, now: float) -> Iterator[tuple[ModelKey, tuple[int, int]]]:
        """Yields each model that has something waiting: the tokens served to its next client, its next number."""
        for model in list(self._models):
            if (head := self._head(model, now)) is not None:
                yield model, (self._clients[head.request.client].served, head.number)

    def begin_plan(self, model: ModelKey, now: float) -> None:
        """Records that the next sequences of a model are popped, its first one among them."""
        if (head := self._head(model, now)) is not None:
            self._virtual_time = self._clients[head.request.client].served

    def pop(
        self, model: ModelKey, now: float, most: int, most_seconds: float, sequence_seconds: tuple[float, float]
    ) -> list[QueuedSequence]:
        """Returns the next sequences of a model and removes them from their heaps; they wait until they are taken.

        There are at most `most`, and at most one more than take `most_seconds`. For `sequence_seconds` see `put`.
        """
        popped: list[QueuedSequence] = []
        seconds = 0.0
        fixed, per_token = sequence_seconds
        while len(popped) < most and seconds < most_seconds and (head := self._head(model, now)) is not None:
            clients = self._models[model]
            heap, client = clients[head.request.client], self._clients[head.request.client]
            while heap and len(popped) < most and seconds < most_seconds:
                sequence = heapq.heappop(heap)
                _, _, request, position, length = sequence
                if request.waiting[position] and request.deadline > now:
                    popped.append(sequence)
                    seconds += fixed + per_token * length
                    client.served += length
                    if len(clients) > 1:  # another client may be next
                        break
                elif request.waiting[position]:
                    self.discard(request)
        return popped

    def take(self, popped: Sequence[QueuedSequence], now: float) -> list[QueuedSequence]:
        """Removes popped sequences from the queue, and returns those that are neither cancelled nor expired."""
        taken: list[QueuedSequence] = []
        for sequence in popped:
            _, _, request, position, length = sequence
            if request.waiting[position] and request.deadline > now:
                self._release(request, position, length)
                taken.append(sequence)
            elif request.waiting[position]:
                self.discard(request)
        return taken

    @property
    def clients(self) -> int:
        """Number of clients with something waiting."""
        return len(self._clients)

    def _order(self, sequence: QueuedSequence) -> tuple[int, float, int]:
        return self._clients[sequence.request.client].served, sequence.turn, sequence.number

    def _head(self, model: ModelKey, now: float) -> QueuedSequence | None:
        if (clients := self._models.get(model)) is None:
            return None
        best: QueuedSequence | None = None
        for client in list(clients):
            heap = clients[client]
            while heap and not self._waits(heap[0], now):
                heapq.heappop(heap)
            if not heap:
                del clients[client]
            elif best is None or self._order(heap[0]) < self._order(best):
                best = heap[0]
        if best is None:
            del self._models[model]
        return best

    def _waits(self, sequence: QueuedSequence, now: float) -> bool:
        """Returns whether a sequence is neither cancelled nor expired; discards an expired request."""
        _, _, request, position, _ = sequence
        if request.waiting[position] and request.deadline <= now:
            self.discard(request)
        return request.waiting[position]

    def _release(self, request: EngineRequest, position: int, length: int) -> None:
        request.waiting[position] = False
        self.sequences -= 1
        self.tokens -= length
        client = self._clients[request.client]
        client.sequences -= 1
        client.tokens -= length
        if not client.sequences:
            del self._clients[request.client]

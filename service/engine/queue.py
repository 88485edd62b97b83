"""A queue of sequences by model and length bucket, bounded in sequences and tokens."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from service.engine.padding import Grid
from service.engine.requests import ANONYMOUS, Requests
from service.errors import Overloaded, TagwerkError
from service.types import Array, ModelKey

SPREAD = 8  # how far a request's sequences are spread: this many long requests leave time for a short one
MAX_RETRY_SECONDS = 60.0  # upper bound of Retry-After


Order = tuple[int, float, int]  # of waiting sequences: tokens served to the client, turn, number


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
    buckets: list[int]
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

    @property
    def length(self) -> int:
        """Tokens of the sequence."""
        return self.request.lengths[self.position]


@dataclass(slots=True)
class Client:
    """A client's waiting sequences and their tokens, and the tokens of its sequences that were taken.

    `served` is on a scale shared by all clients: for a client that had nothing waiting, it starts at the value that the
    client of the last batch had before that batch.
    """

    served: int
    sequences: int = 0
    tokens: int = 0


class Queue:
    """Bounded priority queues, one per lane (model, bucket) and client.

    Of a lane, the client with the least tokens served is next, so that no client's sequences wait for another client's
    backlog (start-time fair queueing, Goyal et al. 1996). Nor does a backlog fill the queue: an API key that has
    something waiting may add at most the remaining capacity (dynamic thresholds, Choudhury and Hahne 1998), so that
    one key alone fills half of the queue, and the rest remains for others.

    A request's first sequence has its arrival time as its turn. Each further one is later by `SPREAD` times the device
    time of the sequences before it, so that a short request behind a long one does not wait for all of it. No sequence
    starves: later arrivals get later turns.

    Cancelled sequences free their capacity at once, and are removed from their lane when they reach its head. So are
    expired ones; their callers watch the deadline themselves.
    """

    def __init__(self, max_sequences: int, max_tokens: int) -> None:
        self.max_sequences = max_sequences
        self.max_tokens = max_tokens
        self.sequences = 0
        self.tokens = 0
        self._admitted = 0
        self._lanes: dict[tuple[ModelKey, int], dict[int, list[QueuedSequence]]] = {}  # by client; heaps
        self._waiting: Counter[tuple[ModelKey, int]] = Counter()
        self._clients: dict[int, Client] = {}  # those with something waiting
        self._virtual_time = 0  # tokens served to the client of the last batch, before that

    def check(self, client: int, tokens_per_second: float) -> Overloaded | None:
        """Returns the error with which any request of a client would be rejected, or None."""
        if not self.sequences:
            return None
        full, waiting = self._exceeded(1, 1), self.sequences
        if not full and (known := self._clients.get(client)) is not None:
            full, waiting = self._share_exceeded(client, known, 1, 1), known.sequences
        return (
            Overloaded(f"the queue is full: {full}", self._retry_seconds(tokens_per_second), waiting) if full else None
        )

    def _retry_seconds(self, tokens_per_second: float) -> float:
        return min(self.tokens / tokens_per_second, MAX_RETRY_SECONDS)

    def put(self, request: EngineRequest, tokens_per_second: float, seconds: Callable[[int], float]) -> None:
        """Admits all sequences of a request, or none: raises Overloaded if they do not fit.

        Args:
            tokens_per_second: the device's throughput.
            seconds: the device time of a sequence by its length bucket.

        An empty queue admits any request: one above the token bound could never be served otherwise. A request that is
        `begun` is always admitted, since the work done for it would be lost.
        """
        tokens, client = sum(request.lengths), self._clients.get(request.client)
        if self.sequences and not request.columns.begun:
            if full := self._exceeded(len(request.lengths), tokens):
                waiting, problem = self.sequences, f"the queue is full: {full}"
            elif client is not None and (
                full := self._share_exceeded(request.client, client, len(request.lengths), tokens)
            ):
                waiting, problem = client.sequences, f"the client's share of the queue is full: {full}"
            if full:
                raise Overloaded(problem, self._retry_seconds(tokens_per_second), waiting)
        if client is None:
            client = self._clients[request.client] = Client(self._virtual_time)
        client.sequences += len(request.lengths)
        client.tokens += tokens
        turn, model = request.arrived, request.model
        for position, bucket in enumerate(request.buckets):
            lane = model, bucket
            heap = self._lanes.setdefault(lane, {}).setdefault(request.client, [])
            heapq.heappush(heap, QueuedSequence(turn, self._admitted, request, position))
            self._waiting[lane] += 1
            self._admitted += 1
            turn += SPREAD * seconds(bucket)
        self.sequences += len(request.lengths)
        self.tokens += tokens

    def _exceeded(self, sequences: int, tokens: int) -> str:
        """Says which limit further sequences with this many tokens in all exceed; "" if none."""
        if self.sequences + sequences > self.max_sequences:
            return f"{self.sequences} of at most {self.max_sequences} sequences (TAGWERK_MAX_QUEUE_ENTRIES)"
        if self.tokens + tokens > self.max_tokens:
            return f"{self.tokens} of at most {self.max_tokens} tokens (TAGWERK_MAX_QUEUE_TOKENS)"
        return ""

    def _share_exceeded(self, number: int, client: Client, sequences: int, tokens: int) -> str:
        """Says which limit's remaining capacity further sequences of a client exceed; "" if none."""
        if number == ANONYMOUS:
            return ""
        if client.sequences + sequences > self.max_sequences - self.sequences:
            return f"it has {client.sequences} of {self.sequences} waiting sequences (TAGWERK_MAX_QUEUE_ENTRIES)"
        if client.tokens + tokens > self.max_tokens - self.tokens:
            return f"it has {client.tokens} of {self.tokens} waiting tokens (TAGWERK_MAX_QUEUE_TOKENS)"
        return ""

    def discard(self, request: EngineRequest) -> None:
        """Frees the capacity of a request's waiting sequences."""
        for position, waits in enumerate(request.waiting):
            if waits:
                self._release(request, position)

    def waiting(self, model: ModelKey, bucket: int) -> int:
        """Returns the number of waiting sequences in a lane."""
        return self._waiting[model, bucket]

    def heads(self, now: float) -> Iterator[tuple[int, QueuedSequence]]:
        """Yields the bucket and the first sequence of each lane, skipping cancelled and expired ones."""
        for lane in list(self._lanes):
            if (sequence := self._head(lane, now)) is not None:
                yield lane[1], sequence

    def pop(self, model: ModelKey, bucket: int, now: float) -> QueuedSequence | None:
        """Removes and returns the first sequence of a lane, skipping cancelled and expired ones."""
        sequence = self._head((model, bucket), now)
        if sequence is not None:
            self._clients[sequence.request.client].served += sequence.length
            self._release(sequence.request, sequence.position)
        return sequence

    def waiting_without_backlog(self, model: ModelKey, client: int, grid: Grid) -> dict[int, int]:
        """Returns the sequences per length bucket of a model whose clients have no backlog, if `client` has none.

        A backlog is as many sequences, of all models, as fill a batch. Empty if `client` has one, or no client has one.
        Cancelled sequences may be counted.
        """
        rows = grid.batch_sizes[-1]
        without = {number for number, waiting in self._clients.items() if waiting.sequences < rows}
        if client not in without or len(without) == len(self._clients):
            return {}
        lanes = {length: self._lanes.get((model, length), {}) for length in grid.lengths}
        return {
            length: sum(len(heap) for number, heap in lane.items() if number in without)
            for length, lane in lanes.items()
        }

    def begin_batch(self, served: int) -> None:
        """Records that a batch is taken whose first client had so many tokens served before."""
        self._virtual_time = served

    def order(self, sequence: QueuedSequence) -> Order:
        """Returns the key by which waiting sequences are ordered."""
        return self._clients[sequence.request.client].served, sequence.turn, sequence.number

    def _head(self, lane: tuple[ModelKey, int], now: float) -> QueuedSequence | None:
        if (clients := self._lanes.get(lane)) is None:
            return None
        heads = [head for client in list(clients) if (head := self._head_of(clients, client, now)) is not None]
        if not heads:
            del self._lanes[lane]
            return None
        return heads[0] if len(heads) == 1 else min(heads, key=self.order)

    def _head_of(self, clients: dict[int, list[QueuedSequence]], client: int, now: float) -> QueuedSequence | None:
        """Returns a client's first sequence of a lane."""
        heap = clients[client]
        while heap:
            sequence = heap[0]
            request = sequence.request
            if request.waiting[sequence.position] and request.deadline <= now:
                self.discard(request)
            if request.waiting[sequence.position]:
                return sequence
            heapq.heappop(heap)
        del clients[client]
        return None

    def _release(self, request: EngineRequest, position: int) -> None:
        request.waiting[position] = False
        self._waiting[request.model, request.buckets[position]] -= 1
        length = request.lengths[position]
        self.sequences -= 1
        self.tokens -= length
        client = self._clients[request.client]
        client.sequences -= 1
        client.tokens -= length
        if not client.sequences:
            del self._clients[request.client]

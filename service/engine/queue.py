"""A queue of sequences by client and model, bounded in sequences and tokens."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from service.engine.requests import ANONYMOUS, Requests
from service.errors import Overloaded, TagwerkError
from service.types import ModelKey, Outputs

SPREAD = 8  # how far a request's sequences are spread: this many long requests leave time for a short one
LONGEST_SECONDS = 0.05  # that others may wait: for a step, for batches planned together, for tokens sent in groups
MAX_RETRY_SECONDS = 60.0  # upper bound of Retry-After


class OutputPlace(NamedTuple):
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
        places: of the outputs of each sequence; None for a sequence without outputs.
        remaining: sequences without outputs.
        owner: of the caller's choice; what the request belongs to.
        dropped: whether none of it runs any more.
        planned: its first sequences that have been popped from the queue.
        taken: sequences that have been taken into a batch, and left the queue.
        tokens: of the others.
        batch_size: sequences in the largest of its batches.
    """

    columns: Requests
    client: int
    arrived: float
    deadline: float
    lengths: list[int]
    starts: list[int]
    on_done: OnDone
    places: list[OutputPlace | None]
    remaining: int
    tokens: int
    owner: Any = None
    dropped: bool = False
    planned: int = 0
    taken: int = 0
    error: TagwerkError | None = None
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0
    batch_size: int = 0


class QueuedSequence(NamedTuple):
    """A sequence of a request: its position among them, and its tokens."""

    request: EngineRequest
    position: int
    length: int


@dataclass(slots=True)
class Client:
    """A client's waiting sequences and their tokens, and the tokens of its sequences that were popped.

    Attributes:
        served: on a scale shared by all clients: for a client that had nothing waiting, it starts at the value that the
            client of the last plan had before that plan.
        heaps: of each model, the requests that have sequences to pop, by the turn of the next and by admission.
    """

    served: int
    sequences: int = 0
    tokens: int = 0
    heaps: dict[ModelKey, list[tuple[float, int, EngineRequest]]] = field(default_factory=dict)


NOTHING = Client(0)


class Queue:
    """Bounded priority queues, one per client and model.

    Of a model, the client with the least tokens served is next, so that no client's sequences wait for another client's
    backlog (start-time fair queueing, Goyal et al. 1996). Nor does a backlog fill the queue: an API key that has
    something waiting may add at most the remaining capacity (dynamic thresholds, Choudhury and Hahne 1998), so that
    one key alone fills half of the queue, and the rest remains for others.

    A request's first sequence has its arrival time as its turn. Each further one is later by `SPREAD` times the device
    time of the one before it, so that a short request behind a long one does not wait for all of it. No sequence
    starves: later arrivals get later turns.

    Attributes:
        tokens_per_second: the device's throughput, for Retry-After; at first a slow processor's.
        clients: those with something waiting, by their numbers.
    """

    def __init__(self, max_sequences: int, max_tokens: int) -> None:
        self.max_sequences = max_sequences
        self.max_tokens = max_tokens
        self.sequences = 0
        self.tokens = 0
        self.tokens_per_second = 10_000.0
        self.clients: dict[int, Client] = {}
        self._admitted = 0
        self._virtual_time = 0  # tokens served to the client of the last plan, before that

    def rejection(self, client: int, sequences: int, tokens: int) -> Overloaded | None:
        """Returns the error for further sequences of a client, with this many tokens in all; None if they fit.

        An empty queue takes any: a request above the token bound could never be served otherwise.
        """
        if not self.sequences:
            return None
        own = NOTHING if client == ANONYMOUS else self.clients.get(client, NOTHING)
        for unit, waiting, most, of_client, more in (
            ("sequences", self.sequences, self.max_sequences, own.sequences, sequences),
            ("tokens", self.tokens, self.max_tokens, own.tokens, tokens),
        ):
            if waiting + more > most:
                problem = f"the queue is full: {waiting} of at most {most} {unit}"
            elif of_client + more > most - waiting:
                problem = f"the client's share of the queue is full: it has {of_client} of {waiting} waiting {unit}"
            else:
                continue
            seconds = min(self.tokens / self.tokens_per_second, MAX_RETRY_SECONDS)
            return Overloaded(f"{problem} (TAGWERK_MAX_QUEUE_TOKENS)", seconds)
        return None

    def put(self, request: EngineRequest) -> None:
        """Queues all sequences of a request."""
        if (client := self.clients.get(request.client)) is None:
            client = self.clients[request.client] = Client(self._virtual_time)
        count, tokens = request.remaining, request.tokens
        client.sequences += count
        client.tokens += tokens
        self.sequences += count
        self.tokens += tokens
        self._admitted += 1
        heap = client.heaps.setdefault(request.columns.model, [])
        heapq.heappush(heap, (request.arrived, self._admitted, request))

    def discard(self, request: EngineRequest) -> None:
        """Drops a request: frees the capacity of its waiting sequences at once, and none of them runs any more."""
        if not request.dropped:
            request.dropped = True
            if waiting := len(request.lengths) - request.taken:
                self._leave(request, waiting, request.tokens)

    def take(self, popped: Iterable[QueuedSequence]) -> list[QueuedSequence]:
        """Removes popped sequences from the queue; returns them, without the sequences of dropped requests."""
        taken: list[QueuedSequence] = []
        for sequence in popped:
            request, _, length = sequence
            if not request.dropped:
                request.taken += 1
                taken.append(sequence)
                self._leave(request, 1, length)
        return taken

    def heads(self) -> dict[ModelKey, int]:
        """Returns the models that the client with the least tokens served waits for, and the order of admission."""
        found: dict[ModelKey, int] = {}
        least = inf
        for client in self.clients.values():
            for model, heap in list(client.heaps.items()):
                while heap and heap[0][2].dropped:
                    heapq.heappop(heap)
                if not heap:
                    del client.heaps[model]
            if client.heaps and client.served <= least:
                found = found if client.served == least else {}
                least = client.served
                for model, heap in client.heaps.items():
                    found[model] = min(heap[0][1], found.get(model, heap[0][1]))
        return found

    def pop(
        self, model: ModelKey, most: int, most_seconds: float, sequence_seconds: tuple[float, float]
    ) -> list[QueuedSequence]:
        """Returns the next sequences of a model: at most `most`, and at most one more than take `most_seconds`.

        They wait until they are taken. `sequence_seconds` is the device time of a sequence: fixed, and per token.
        """
        popped: list[QueuedSequence] = []
        seconds = 0.0
        fixed, per_token = sequence_seconds
        waiting = [client for client in self.clients.values() if model in client.heaps]
        while len(popped) < most and seconds < most_seconds and waiting:
            client = waiting[0]
            if len(waiting) > 1:
                client = min(waiting, key=lambda client: (client.served, client.heaps[model][0][:2]))
            heap = client.heaps[model]
            if not popped:
                self._virtual_time = client.served
            while heap and len(popped) < most and seconds < most_seconds:
                turn, admitted, request = heap[0]
                if request.dropped:
                    heapq.heappop(heap)
                    continue
                position, length = request.planned, request.lengths[request.planned]
                popped.append(QueuedSequence(request, position, length))
                request.planned += 1
                cost = fixed + per_token * length
                if request.planned < len(request.lengths):
                    heapq.heapreplace(heap, (turn + SPREAD * cost, admitted, request))
                else:
                    heapq.heappop(heap)
                seconds += cost
                client.served += length
                if len(waiting) > 1:  # another client may be next
                    break
            if not heap:
                waiting.remove(client)
        return popped

    def _leave(self, request: EngineRequest, sequences: int, tokens: int) -> None:
        client = self.clients[request.client]
        self.sequences -= sequences
        self.tokens -= tokens
        request.tokens -= tokens
        client.sequences -= sequences
        client.tokens -= tokens
        if not client.sequences:
            del self.clients[request.client]

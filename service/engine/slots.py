"""Continuous batching of generation: each text has a slot in a batch of fixed size; texts join and leave between steps.

A step reads the next tokens of some slots (a chunk of the prompt, or the last sampled token) and samples one token for
each. Prefill, `prefill` tokens at a time, and generation run in separate, alternating steps, so that generation waits
for one chunk of the prompts at most. Fewer rows run in a smaller step.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from service.backend.base import GENERATION_INPUTS
from service.engine.queue import LONGEST_SECONDS, MAX_RETRY_SECONDS
from service.engine.requests import ANONYMOUS, Generation
from service.errors import Overloaded, TagwerkError
from service.types import Array, Sampled, Tensors


@dataclass(slots=True, eq=False)
class Stream:
    """A text being generated: over at `max_tokens`, at an error, or when cancelled."""

    request: Generation
    arrived: float  # by the engine's clock
    started: float = inf  # when it was assigned a slot
    pending: Array = field(init=False)  # ids to be read: [T] int32
    fresh: bool = True
    generated: int = 0
    held: list[Sampled] = field(default_factory=list)  # generated, and not passed on yet
    handed: float = 0.0  # when tokens were last passed on
    cancelled: bool = False
    error: TagwerkError | None = None

    def __post_init__(self) -> None:
        self.pending = self.request.prompt

    def time_spent(self, now: float) -> dict[str, float]:
        """Returns the time in seconds, in the queue (until it has a slot) and in inference."""
        queued = min(self.started, now) - self.arrived
        return {"queue": queued, "inference": now - self.arrived - queued}

    @property
    def done(self) -> bool:
        """True once its slot can be reused."""
        return self.cancelled or self.error is not None or self.generated >= self.request.max_tokens


@dataclass(frozen=True, slots=True)
class SlotStep:
    """A step of some slots: the first `len(streams)` of its B rows are theirs, the others filler."""

    streams: list[Stream]
    inputs: dict[str, Array]  # see `GENERATION_INPUTS`


class Slots:
    """The slots of one language model, and the streams that wait for one.

    A free slot goes to the client that has the fewest. For an API key's share of the waiting streams see `Queue`.
    """

    def __init__(self, slots: int, prefill: int, max_waiting: int, max_waiting_tokens: int = 2**31) -> None:
        """`max_waiting` bounds the waiting streams, `max_waiting_tokens` the tokens of their prompts."""
        self._slots: list[Stream | None] = [None] * slots
        self._waiting: deque[Stream] = deque()
        self._prefill = prefill
        self._max_waiting = max_waiting
        self._max_waiting_tokens = max_waiting_tokens
        self._tokens_per_second = 1000.0  # a slow processor's, until steps are measured
        # At least 2: on a processor, XLA's matrix product of one row is forty times slower than of two.
        self._sizes = [*(2**i for i in range(1, 10) if 2**i < slots), max(slots, 2)]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes (B, T) of all steps."""
        return [(size, length) for length in sorted({1, self._prefill}) for size in self._sizes]

    @property
    def in_use(self) -> int:
        """Number of slots that hold a stream."""
        return len(self._slots) - self._slots.count(None)

    @property
    def busy(self) -> bool:
        """True while a stream waits or holds a slot."""
        return bool(self._waiting) or any(self._slots)

    def admit(self, streams: Sequence[Stream]) -> None:
        """Queues the texts of a request for slots, all or none. An empty queue admits any. Raises Overloaded."""
        if self._waiting:
            self._check_room(streams)
        self._waiting += streams

    def _check_room(self, streams: Sequence[Stream]) -> None:
        waiting, client = len(self._waiting), streams[0].request.client
        left = self._max_waiting - waiting - len(streams)
        tokens = sum(len(one.pending) for one in self._waiting)
        own = sum(one.request.client == client for one in self._waiting)
        if left < 0:
            full = f"{waiting} of at most {self._max_waiting} texts wait for a slot (TAGWERK_SLOTS)"
        elif tokens + sum(len(one.pending) for one in streams) > self._max_waiting_tokens:
            most = f"{self._max_waiting_tokens} tokens of prompts (TAGWERK_MAX_QUEUE_TOKENS)"
            full = f"{tokens} of at most {most} wait for a slot"
        elif client != ANONYMOUS and own + len(streams) > left + 1:
            full = f"the client's share is full: {own} of {waiting} texts that wait for a slot"
        else:
            return
        raise Overloaded(full, self._retry_after_seconds())

    def cancel(self, stream: Stream) -> None:
        """Cancels a stream: removes it from the queue, or frees its slot. A step that runs may still have its row."""
        stream.cancelled = True
        if stream in self._waiting:
            self._waiting.remove(stream)
        elif stream in self._slots:
            self._slots[self._slots.index(stream)] = None

    def measured(self, step: SlotStep, seconds: float) -> None:
        """Updates the throughput, for Retry-After."""
        rate = len(step.streams) / max(seconds, 1e-6)
        self._tokens_per_second += 0.05 * (rate - self._tokens_per_second)

    def _retry_after_seconds(self) -> float:
        """Returns the time that all streams, waiting and running, need to finish."""
        unfinished = [stream for stream in (*self._slots, *self._waiting) if stream is not None and not stream.done]
        chunks = sum(-(-len(stream.pending) // self._prefill) for stream in unfinished)
        tokens = sum(stream.request.max_tokens - stream.generated for stream in unfinished)
        return min((chunks + tokens) / self._tokens_per_second, MAX_RETRY_SECONDS)

    def assemble(self, now: float) -> list[SlotStep]:
        """Assigns free slots, and builds the next prefill step and the next generation step."""
        if not self._waiting and not any(self._slots):
            return []
        self._assign_slots(now)
        running = [(i, stream) for i, stream in enumerate(self._slots) if stream is not None]
        prefilling = [(i, stream) for i, stream in running if len(stream.pending) > 1]
        generating = [(i, stream) for i, stream in running if len(stream.pending) == 1]
        return [self._step(some, length) for some, length in ((prefilling, self._prefill), (generating, 1)) if some]

    def advance(self, step: SlotStep, sampled: Tensors, now: float) -> list[tuple[Stream, list[Sampled]]]:
        """Applies the results of a step; returns the streams that have tokens to pass on, with these tokens."""
        due = []
        rows = zip(step.streams, step.inputs["lengths"].tolist(), sampled["ids"].tolist(), strict=False)
        for row, (stream, length, id) in enumerate(rows):
            if stream.done:
                continue
            stream.fresh = False
            stream.pending = stream.pending[length:]
            if len(stream.pending) == 0:
                stream.pending = np.array([id], np.int32)
                stream.generated += 1
                stream.held.append(_token(step, row, id, sampled))
                if stream.request.at_once or stream.done or now - stream.handed >= LONGEST_SECONDS:
                    due.append((stream, stream.held))
                    stream.held, stream.handed = [], now
        return due

    def _assign_slots(self, now: float) -> None:
        for i, stream in enumerate(self._slots):
            if stream is not None and (stream.done or stream.request.deadline <= now):
                self._slots[i] = None
        held = Counter(stream.request.client for stream in self._slots if stream is not None)
        for i in [i for i, stream in enumerate(self._slots) if stream is None]:
            while self._waiting and self._slots[i] is None:
                candidate = min(self._waiting, key=lambda stream: held[stream.request.client])  # of several the first
                self._waiting.remove(candidate)
                if not candidate.done and candidate.request.deadline > now:
                    self._slots[i], candidate.started, candidate.handed = candidate, now, now
                    held[candidate.request.client] += 1

    def _step(self, rows: list[tuple[int, Stream]], length: int) -> SlotStep:
        size = next(size for size in self._sizes if size >= len(rows))
        shape = (size, length)
        inputs = {name: np.zeros(shape[: len(axes)], kind) for name, (kind, axes) in GENERATION_INPUTS.items()}
        inputs["slots"][:] = len(self._slots)
        inputs["lengths"][:] = inputs["top_p"][:] = 1
        for row, (slot, stream) in enumerate(rows):
            ids = stream.pending[:length]
            inputs["ids"][row, : len(ids)] = ids
            own = {"slots": slot, "lengths": len(ids), "fresh": stream.fresh, "position": stream.generated}
            for name, value in (own | stream.request.sampling._asdict()).items():
                inputs[name][row] = value
        return SlotStep([stream for _, stream in rows], inputs)


def _token(step: SlotStep, row: int, id: int, sampled: Tensors) -> Sampled:
    stream = step.streams[row]
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    if stream.request.logprobs:
        logprob = float(sampled["logprobs"][row])
        top = tuple(zip(sampled["top_ids"][row].tolist(), sampled["top_logprobs"][row].tolist(), strict=True))
    return Sampled(id, logprob, top, stream.started - stream.arrived, len(step.streams))

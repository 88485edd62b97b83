"""Continuous batching of generation: each text has a slot in a batch of fixed size, and joins and leaves between steps.

A step reads the next tokens of some slots (a piece of their prompts, or the token sampled last) and samples one token
for each. Those who read prompts, `prefill` tokens at a time, and those who generate have steps of their own, in turn,
so that nobody who generates waits for more than one piece of the prompts. Few rows take a smaller step than a full
house.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from service.engine.protocol import Generation
from service.engine.queue import MAX_RETRY_SECONDS
from service.errors import Overloaded, TagwerkError
from service.types import Array, Sampled, Tensors

GATHER_SECONDS = 0.05  # for which the tokens of a text are held back that are not wanted at once


@dataclass(slots=True, eq=False)
class Stream:
    """A text in the making: over at `max_tokens`, at an error, or when its caller cancels it."""

    request: Generation
    arrived: float  # by the engine's clock
    seated: float | None = None  # when it was given a slot
    pending: Array = field(init=False)  # ids still to be read: [T] int32
    fresh: bool = True
    generated: int = 0
    held: list[Sampled] = field(default_factory=list)  # generated, and not handed to the caller yet
    handed: float = 0.0  # when some were
    cancelled: bool = False
    error: TagwerkError | None = None

    def __post_init__(self) -> None:
        self.pending = self.request.prompt

    def spent(self, now: float) -> dict[str, float]:
        """Says where its time went, in seconds: into the queue until it has a slot."""
        queued = (now if self.seated is None else self.seated) - self.arrived
        return {"queue": queued, "inference": now - self.arrived - queued}

    @property
    def done(self) -> bool:
        """True once its slot can be given to another."""
        return self.cancelled or self.error is not None or self.generated >= self.request.max_tokens


@dataclass(frozen=True, slots=True)
class SlotStep:
    """A step of some slots: the first `len(streams)` of its B rows are theirs, the others filler."""

    streams: list[Stream]
    inputs: dict[str, Array]  # each [B] or [B, T], see service.backend.base


class Slots:
    """The slots of one language model, and the streams that wait for one. Not thread-safe: its owner holds the lock."""

    def __init__(self, slots: int, prefill: int, max_waiting: int, max_waiting_tokens: int = 2**31) -> None:
        """`max_waiting` bounds the streams that wait, `max_waiting_tokens` the tokens of their prompts."""
        self._slots: list[Stream | None] = [None] * slots
        self._waiting: deque[Stream] = deque()
        self._prefill = prefill
        self._max_waiting = max_waiting
        self._max_waiting_tokens = max_waiting_tokens
        self._tokens_per_second = 1000.0  # a slow processor's, until steps have been measured
        # Not 1: XLA's product of a single row is forty times slower than that of two on a processor.
        self._sizes = [*(2**i for i in range(1, 10) if 2**i < slots), max(slots, 2)]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The shapes (B, T) of all steps."""
        return [(size, length) for length in sorted({1, self._prefill}) for size in self._sizes]

    @property
    def in_use(self) -> int:
        """Slots that hold a stream."""
        return sum(stream is not None for stream in self._slots)

    @property
    def waiting(self) -> int:
        """Streams without a slot."""
        return len(self._waiting)

    def admit(self, stream: Stream) -> None:
        """Queues a stream for a slot. Raises Overloaded. Where none waits, a prompt of any length may."""
        tokens = len(stream.pending) + sum(len(one.pending) for one in self._waiting)
        if self._waiting and (len(self._waiting) >= self._max_waiting or tokens > self._max_waiting_tokens):
            raise Overloaded(f"{len(self._waiting)} texts wait for a slot", self._retry_after_seconds())
        self._waiting.append(stream)

    def cancel(self, stream: Stream) -> None:
        """Takes a stream out that nobody waits for: from the queue at once, from its slot at the next step."""
        stream.cancelled = True
        if stream.seated is None and stream in self._waiting:
            self._waiting.remove(stream)

    def measured(self, step: SlotStep, seconds: float) -> None:
        """Learns how fast the device is, for Retry-After."""
        rate = len(step.streams) / max(seconds, 1e-6)
        self._tokens_per_second += 0.05 * (rate - self._tokens_per_second)

    def _retry_after_seconds(self) -> float:
        """Returns the time that those who wait and those who have a slot need for all that they may still generate."""
        there = [stream for stream in (*self._slots, *self._waiting) if stream is not None and not stream.done]
        pieces = sum(-(-len(stream.pending) // self._prefill) for stream in there)
        tokens = sum(stream.request.max_tokens - stream.generated for stream in there)
        return min((pieces + tokens) / self._tokens_per_second, MAX_RETRY_SECONDS)

    def assemble(self, now: float) -> list[SlotStep]:
        """Seats those who wait, and builds the next step of those who read a prompt and of those who generate."""
        if not self._waiting and not any(self._slots):
            return []
        self._seat(now)
        seated = [(i, stream) for i, stream in enumerate(self._slots) if stream is not None]
        reading = [(i, stream) for i, stream in seated if len(stream.pending) > 1]
        generating = [(i, stream) for i, stream in seated if len(stream.pending) == 1]
        return [self._step(some, length) for some, length in ((reading, self._prefill), (generating, 1)) if some]

    def advance(self, step: SlotStep, sampled: Tensors, now: float) -> list[tuple[Stream, list[Sampled]]]:
        """Notes what a step read and sampled; returns the generated tokens that are due, and whose they are."""
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
                if stream.request.at_once or stream.done or now - stream.handed >= GATHER_SECONDS:
                    due.append((stream, stream.held))
                    stream.held, stream.handed = [], now
        return due

    def _seat(self, now: float) -> None:
        for i, stream in enumerate(self._slots):
            if stream is not None and not (stream.done or stream.request.deadline <= now):
                continue
            self._slots[i] = None
            while self._waiting and self._slots[i] is None:
                candidate = self._waiting.popleft()
                if not candidate.done and candidate.request.deadline > now:
                    self._slots[i], candidate.seated, candidate.handed = candidate, now, now

    def _step(self, rows: list[tuple[int, Stream]], length: int) -> SlotStep:
        size = next(size for size in self._sizes if size >= len(rows))
        inputs: dict[str, Array] = {
            "slots": np.full(size, len(self._slots), np.int32),
            "ids": np.zeros((size, length), np.int32),
            "lengths": np.ones(size, np.int32),
            "fresh": np.zeros(size, np.bool_),
            "temperature": np.zeros(size, np.float32),
            "top_k": np.zeros(size, np.int32),
            "top_p": np.ones(size, np.float32),
            "seed": np.zeros(size, np.int64),
            "position": np.zeros(size, np.int64),
        }
        for row, (slot, stream) in enumerate(rows):
            request, ids = stream.request, stream.pending[:length]
            inputs["slots"][row] = slot
            inputs["ids"][row, : len(ids)] = ids
            inputs["lengths"][row] = len(ids)
            inputs["fresh"][row] = stream.fresh
            inputs["temperature"][row] = request.temperature
            inputs["top_k"][row] = request.top_k
            inputs["top_p"][row] = request.top_p
            inputs["seed"][row] = request.seed
            inputs["position"][row] = stream.generated
        return SlotStep([stream for _, stream in rows], inputs)


def _token(step: SlotStep, row: int, id: int, sampled: Tensors) -> Sampled:
    stream = step.streams[row]
    queue_seconds = (stream.arrived if stream.seated is None else stream.seated) - stream.arrived
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    if stream.request.logprobs:
        logprob = float(sampled["logprobs"][row])
        top = tuple(zip(sampled["top_ids"][row].tolist(), sampled["top_logprobs"][row].tolist(), strict=True))
    return Sampled(id, logprob, top, queue_seconds, len(step.streams))

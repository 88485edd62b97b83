"""Continuous batching of generation: each text has a slot in a batch of fixed size, and joins and leaves between steps.

A step reads each slot's next tokens (a piece of its prompt, or the token sampled last) and samples one token. All
slots share the shape [S, T]: T is 1 while nobody has a prompt left to read, `prefill` otherwise.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from service.engine.padding import Array
from service.engine.protocol import Generation
from service.errors import Overloaded, TagwerkError


@dataclass(slots=True, eq=False)
class Stream:
    """A text in the making: over at `max_tokens`, at an error, or when its caller cancels it."""

    request: Generation
    pending: Array = field(init=False)  # ids still to be read: [T] int32
    fresh: bool = True
    generated: int = 0
    cancelled: bool = False
    error: TagwerkError | None = None

    def __post_init__(self) -> None:
        self.pending = self.request.prompt

    @property
    def done(self) -> bool:
        """True once its slot can be given to another."""
        return self.cancelled or self.error is not None or self.generated >= self.request.max_tokens


class Slots:
    """The slots of one language model, and the streams that wait for one. Not thread-safe: its owner holds the lock."""

    def __init__(self, slots: int, prefill: int, max_waiting: int) -> None:
        self._slots: list[Stream | None] = [None] * slots
        self._waiting: deque[Stream] = deque()
        self._prefill = prefill
        self._max_waiting = max_waiting

    @property
    def lengths(self) -> tuple[int, ...]:
        """The numbers of tokens that a step reads."""
        return (1, self._prefill) if self._prefill > 1 else (1,)

    @property
    def in_use(self) -> int:
        """Slots that hold a stream."""
        return sum(stream is not None for stream in self._slots)

    @property
    def waiting(self) -> int:
        """Streams without a slot."""
        return len(self._waiting)

    def admit(self, stream: Stream) -> None:
        """Queues a stream for a slot. Raises Overloaded."""
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded(f"{len(self._waiting)} texts wait for a slot", 1.0)
        self._waiting.append(stream)

    def assemble(self, now: float) -> tuple[list[Stream | None], dict[str, Array]] | None:
        """Seats those who wait, and builds the inputs of the next step [S, ...]; None where no stream runs."""
        self._seat(now)
        streams = list(self._slots)
        running = [stream for stream in streams if stream is not None]
        if not running:
            return None
        count = len(streams)
        reads_prompt = any(len(stream.pending) > 1 for stream in running)
        inputs: dict[str, Array] = {
            "ids": np.zeros((count, self._prefill if reads_prompt else 1), np.int32),
            "lengths": np.ones(count, np.int32),
            "fresh": np.ones(count, np.bool_),
            "temperature": np.zeros(count, np.float32),
            "top_k": np.zeros(count, np.int32),
            "top_p": np.ones(count, np.float32),
            "seed": np.zeros(count, np.int64),
            "position": np.zeros(count, np.int64),
        }
        for i, stream in enumerate(streams):
            if stream is not None:
                self._fill_row(inputs, i, stream)
        return streams, inputs

    def advance(self, streams: list[Stream | None], lengths: Array, sampled: Array) -> list[tuple[Stream, int]]:
        """Notes what a step read and sampled; returns the generated ids and whose they are."""
        generated = []
        for stream, length, id in zip(streams, lengths.tolist(), sampled.tolist(), strict=True):
            if stream is None or stream.done:
                continue
            stream.fresh = False
            stream.pending = stream.pending[length:]
            if len(stream.pending) == 0:
                stream.pending = np.array([id], np.int32)
                stream.generated += 1
                generated.append((stream, id))
        return generated

    def fail(self, error: TagwerkError) -> list[Stream]:
        """Ends the streams in the slots with an error; returns them."""
        failed = [stream for stream in self._slots if stream is not None]
        for stream in failed:
            stream.error = error
        return failed

    def _seat(self, now: float) -> None:
        for i, stream in enumerate(self._slots):
            if stream is not None and not (stream.done or stream.request.deadline <= now):
                continue
            self._slots[i] = None
            while self._waiting and self._slots[i] is None:
                candidate = self._waiting.popleft()
                if not candidate.done and candidate.request.deadline > now:
                    self._slots[i] = candidate

    def _fill_row(self, inputs: dict[str, Array], i: int, stream: Stream) -> None:
        request = stream.request
        length = min(len(stream.pending), inputs["ids"].shape[1])
        inputs["ids"][i, :length] = stream.pending[:length]
        inputs["lengths"][i] = length
        inputs["fresh"][i] = stream.fresh
        inputs["temperature"][i] = request.temperature
        inputs["top_k"][i] = request.top_k
        inputs["top_p"][i] = request.top_p
        inputs["seed"][i] = request.seed
        inputs["position"][i] = stream.generated

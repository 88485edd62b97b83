"""What api workers and the engine process say to each other, and how it is framed.

A frame is its length in four bytes, then a MessagePack list of messages: all that one side had to say in one turn of
its event loop. Arrays travel as their bytes; nothing that is read can run code.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from service import errors
from service.engine.padding import Array, Tensors
from service.engine.protocol import ModelKey, ModelState, Sampled, State


class Message(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Base of the messages. `id` is the worker's number for a request."""

    id: int


class Packed(msgspec.Struct, array_like=True, frozen=True):
    """An array."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class Infer(Message, frozen=True):
    """Worker: run these examples. Deadlines travel as durations, since clocks differ between machines."""

    name: str
    version: str
    examples: list[dict[str, Packed]]
    timeout_seconds: float
    further: tuple[str, ...] = ()  # outputs
    begun: bool = False


class Generate(Message, frozen=True):
    """Worker: continue this prompt  # [T] int32."""

    name: str
    version: str
    prompt: bytes
    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    timeout_seconds: float
    logprobs: bool = False
    at_once: bool = True


class Cancel(Message, frozen=True):
    """Worker: nobody waits for this request any more."""


class Done(Message, frozen=True):
    """Engine: the outputs of an Infer."""

    outputs: list[dict[str, Packed]]
    queue_seconds: float
    inference_seconds: float
    batch_size: int


class Token(Message, frozen=True):
    """Engine: the next token of a Generate."""

    sampled: Sampled


class Failed(Message, frozen=True):
    """Engine: a request ends with this error of `service.errors`."""

    kind: str
    message: str
    retry_after_seconds: float
    stages: dict[str, float] = {}
    waiting: int = 0


class Report(Message, frozen=True):
    """Engine: its state and its models', to each worker that comes and whenever they change. `id` is 0."""

    state: State
    models: list[tuple[str, str, State, str | None, float]]  # name, version, state, reason, share


AnyMessage = Infer | Generate | Cancel | Done | Token | Failed | Report
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[AnyMessage])


def frame(messages: Sequence[AnyMessage]) -> bytes:
    """Returns one frame."""
    content = _encoder.encode(messages)
    return len(content).to_bytes(4, "big") + content


class Unframer:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterable[AnyMessage]:
        """Takes what has come, and yields the messages of each frame that is complete."""
        self._buffer += data
        while len(self._buffer) >= 4:
            end = 4 + int.from_bytes(self._buffer[:4], "big")
            if len(self._buffer) < end:
                return
            content = bytes(self._buffer[4:end])
            del self._buffer[:end]
            yield from _decoder.decode(content)


def report(state: State, models: Iterable[ModelState]) -> Report:
    """Returns the report of an engine."""
    return Report(0, state, [(m.key.name, m.key.version, m.state, m.reason, m.share) for m in models])


def states_of(message: Report) -> list[ModelState]:
    """Returns the states of the models in a report."""
    return [
        ModelState(ModelKey(name, version), state, reason, share)
        for name, version, state, reason, share in message.models
    ]


def pack(tensors: Tensors) -> dict[str, Packed]:
    """Turns arrays into what a message holds."""
    return {name: Packed(array.dtype.str, array.shape, array.tobytes()) for name, array in tensors.items()}


def unpack(packed: dict[str, Packed]) -> dict[str, Array]:
    """Undoes `pack`. The arrays are read-only."""
    return {name: np.frombuffer(p.data, p.dtype).reshape(p.shape) for name, p in packed.items()}


def failed(id: int, error: errors.TagwerkError) -> Failed:
    """Turns an error into a message."""
    retry_after_seconds, stages = getattr(error, "retry_after_seconds", 0.0), getattr(error, "stages", {})
    waiting = getattr(error, "waiting", 0)
    return Failed(id, type(error).__name__, str(error), retry_after_seconds, stages, waiting)


def error_of(message: Failed) -> errors.TagwerkError:
    """Undoes `failed`, for the errors that an engine raises."""
    if message.kind == errors.Overloaded.__name__:
        return errors.Overloaded(message.message, message.retry_after_seconds, message.waiting)
    if message.kind == errors.DeadlineExceeded.__name__:
        return errors.DeadlineExceeded(message.message, message.stages)
    for cls in (errors.DeviceFailed, errors.ModelNotFound, errors.EngineUnavailable):
        if message.kind == cls.__name__:
            return cls(message.message)
    return errors.TagwerkError(message.message)

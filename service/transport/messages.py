"""Messages between api workers and the engine process, and their framing.

A frame is its length in four bytes, then a MessagePack list of messages: those of one event loop iteration. Arrays
are sent as their bytes. Decoding cannot execute code.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from service import errors
from service.types import Array, ModelKey, ModelState, Sampled, State, Tensors

MAX_FRAME_BYTES = 256 * 2**20
MAX_ARRAY_BYTES = MAX_FRAME_BYTES // 2  # per message
MESSAGE_TOKENS = 8192  # above this, requests go into separate messages
FULL_FRAME_BYTES = 2**20  # above this, messages go into separate frames

T = TypeVar("T")
Column = bytes  # of an array [R] or [N]: seconds are float64, sequence lengths int32, other whole numbers int64


class Packed(msgspec.Struct, array_like=True, frozen=True):
    """An array."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class Message(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Base of the messages about one request. `id` is assigned by the worker."""

    id: int


class Infer(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Worker to engine: runs requests for one model, as columns; see `protocol.Requests`.

    Deadlines are sent as durations, since clocks differ between machines.
    """

    name: str
    version: str
    ids: Column  # [R] assigned by the worker
    counts: Column  # [R] sequences of each
    timeouts_seconds: Column  # [R]
    clients: Column  # [R]
    lengths: Column  # [N] of the sequences of all
    values: dict[str, Packed]  # each [sum of lengths, ...]
    further: tuple[str, ...] = ()  # outputs
    begun: bool = False


class Generate(Message, frozen=True):
    """Worker to engine: continues a prompt  # [T] int32."""

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
    client: int = 0


class Cancel(Message, frozen=True):
    """Worker to engine: cancels a request."""


class Ping(Message, frozen=True):
    """Worker to engine: requests a Pong. `id` is 0."""


class Pong(Message, frozen=True):
    """Engine to worker: answers a Ping. `id` is 0."""


class Done(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Engine to worker: the outputs of requests, as columns."""

    ids: Column  # [R]
    counts: Column  # [R] sequences of each
    tokens: Column  # [R] of each
    timed: dict[str, Packed]  # outputs with a time axis: each [sum of tokens, ...]
    others: dict[str, Packed]  # those without one: each [sum of counts, ...]
    queue_seconds: Column  # [R]
    inference_seconds: Column  # [R]
    batch_sizes: Column  # [R]


class Token(Message, frozen=True):
    """Engine to worker: the next token of a Generate."""

    sampled: Sampled


class Failed(Message, frozen=True):
    """Engine to worker: a request ended with an error of `service.errors`."""

    kind: str
    message: str
    retry_after_seconds: float
    stages: dict[str, float] = {}
    waiting: int = 0


class Report(Message, frozen=True):
    """Engine to worker, on connection and after each change: the state of the engine and its models. `id` is 0."""

    state: State
    models: list[tuple[str, str, State, str | None, float, bool]]  # name, version, state, reason, share, default


AnyMessage = Infer | Generate | Cancel | Ping | Pong | Done | Token | Failed | Report
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[AnyMessage])


def frame(messages: Sequence[AnyMessage]) -> bytes:
    """Encodes messages as one frame."""
    content = _encoder.encode(messages)
    return len(content).to_bytes(4, "big") + content


def frames(messages: Sequence[AnyMessage]) -> Iterator[bytes]:
    """Yields one frame with all messages, or one per message if that would be large, so that the reader can pause."""
    whole = frame(messages)
    if len(whole) <= FULL_FRAME_BYTES or len(messages) == 1:
        yield whole
    else:
        yield from (frame([message]) for message in messages)


class Unframer:
    """Splits a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterable[AnyMessage]:
        """Adds received data; yields the messages of each complete frame.

        Raises MsgspecError for an invalid frame, or one of more than MAX_FRAME_BYTES.
        """
        self._buffer += data
        while len(self._buffer) >= 4:
            end = 4 + int.from_bytes(self._buffer[:4], "big")
            if end > MAX_FRAME_BYTES:
                raise msgspec.DecodeError(f"a frame of {end} bytes; at most {MAX_FRAME_BYTES} are allowed")
            if len(self._buffer) < end:
                return
            content = bytes(self._buffer[4:end])
            del self._buffer[:end]
            yield from _decoder.decode(content)


def split_by_tokens(items: Sequence[T], tokens: Callable[[T], int]) -> Iterator[list[T]]:
    """Yields groups of consecutive items, each of at most MESSAGE_TOKENS tokens or of one item."""
    group: list[T] = []
    total = 0
    for item in items:
        more = tokens(item)
        if group and total + more > MESSAGE_TOKENS:
            yield group
            group, total = [], 0
        group.append(item)
        total += more
    if group:
        yield group


def report(state: State, models: Iterable[ModelState]) -> Report:
    """Builds the report of an engine."""
    return Report(0, state, [(m.key.name, m.key.version, m.state, m.reason, m.share, m.default) for m in models])


def states_of(message: Report) -> list[ModelState]:
    """Returns the states of the models in a report."""
    return [
        ModelState(ModelKey(name, version), state, reason, share, default)
        for name, version, state, reason, share, default in message.models
    ]


def column(numbers: Sequence[float] | Array, dtype: type[np.generic]) -> Column:
    """Encodes numbers as a column."""
    return np.asarray(numbers, dtype).tobytes()


def whole_numbers(column: Column) -> list[int]:
    """Decodes a column of int64. Raises ValueError if it is none."""
    numbers: list[int] = np.frombuffer(column, np.int64).tolist()
    return numbers


def seconds(column: Column) -> list[float]:
    """Decodes a column of float64. Raises ValueError if it is none."""
    numbers: list[float] = np.frombuffer(column, np.float64).tolist()
    return numbers


def pack(tensors: Tensors) -> dict[str, Packed]:
    """Encodes arrays. Raises InternalError if they exceed a message's size."""
    size = sum(array.nbytes for array in tensors.values())
    if size > MAX_ARRAY_BYTES:
        raise errors.InternalError(f"{size} bytes do not fit into a message; at most {MAX_ARRAY_BYTES} do")
    return {name: Packed(array.dtype.str, array.shape, array.tobytes()) for name, array in tensors.items()}


def unpack(packed: dict[str, Packed]) -> dict[str, Array]:
    """Decodes arrays; they are read-only. Raises ValueError or TypeError for invalid ones."""
    return {name: np.frombuffer(p.data, p.dtype).reshape(p.shape) for name, p in packed.items()}


def failed(id: int, error: errors.TagwerkError) -> Failed:
    """Encodes an error as a message."""
    retry_after_seconds, stages = getattr(error, "retry_after_seconds", 0.0), getattr(error, "stages", {})
    waiting = getattr(error, "waiting", 0)
    return Failed(id, type(error).__name__, str(error), retry_after_seconds, stages, waiting)


def error_of(message: Failed) -> errors.TagwerkError:
    """Decodes an error that an engine raises."""
    if message.kind == errors.Overloaded.__name__:
        return errors.Overloaded(message.message, message.retry_after_seconds, message.waiting)
    if message.kind == errors.DeadlineExceeded.__name__:
        return errors.DeadlineExceeded(message.message, message.stages)
    for cls in (errors.DeviceFailed, errors.ModelNotFound, errors.EngineUnavailable, errors.InternalError):
        if message.kind == cls.__name__:
            return cls(message.message)
    return errors.TagwerkError(message.message)

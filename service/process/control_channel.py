"""Messages between the supervisor and an engine process: JSON, one per line, over a socket pair.

The channel also shows that the other process has died: its end closes.
"""

import asyncio
import logging
import socket
from contextlib import suppress

import msgspec

from service.types import ModelKey, ModelState

log = logging.getLogger("tagwerk.supervisor")

LONGEST_LINE = 64 * 2**20  # bytes; holds some 100,000 versions with the reasons why they are refused


class Load(msgspec.Struct, tag=True, frozen=True):
    """To the engine, always first: what to load, and where to serve it.

    Attributes:
        versions: the versions to load.
        beside_another: whether another engine serves meanwhile.
        listening: the file descriptor of the socket that workers connect to, one of those inherited.
    """

    versions: tuple[ModelKey, ...]
    beside_another: bool
    listening: int


class SetShares(msgspec.Struct, tag=True, frozen=True):
    """To the engine: each version's share of requests, the refused versions, and the default models."""

    shares: tuple[tuple[ModelKey, float], ...]
    refused: tuple[ModelState, ...]
    defaults: tuple[str, ...] = ()  # names of the models that serve requests for their task without a model name


class Retire(msgspec.Struct, tag=True, frozen=True):
    """To the engine: another engine has replaced it. It serves until its workers have disconnected, then exits."""


class Prepared(msgspec.Struct, tag=True, frozen=True):
    """From an engine in standby, always first: it has imported TensorFlow, and waits for `Load`."""


class Loading(msgspec.Struct, tag=True, frozen=True):
    """From the engine: it starts to load a version. If it dies before the next message, this version is the cause."""

    key: ModelKey


class Loaded(msgspec.Struct, tag=True, frozen=True):
    """From the engine: each version is ready or refused, and workers may connect.

    `unread` are versions whose files the engine could not read though the supervisor could, for instance because the
    store was unavailable.
    """

    states: tuple[ModelState, ...]
    unread: tuple[ModelState, ...] = ()


Message = Load | SetShares | Retire | Prepared | Loading | Loaded
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """Encodes a message as a line."""
    return _encoder.encode(message) + b"\n"


def decode(line: bytes) -> Message:
    """Decodes a line. Raises MsgspecError."""
    return _decoder.decode(line)


async def open_channel(end: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Opens the engine's end of a channel, for lines of up to `LONGEST_LINE` bytes."""
    return await asyncio.open_connection(sock=end, limit=LONGEST_LINE)


class Channel:
    """The supervisor's end. It never blocks: bytes that the socket does not accept yet are buffered."""

    def __init__(self) -> None:
        self._socket, self.other_end = socket.socketpair()
        self._socket.setblocking(False)
        self._unsent = bytearray()
        self._read = b""

    def send(self, message: Message) -> None:
        """Sends a message, or buffers it. Does nothing if the engine has died."""
        self._unsent += encode(message)
        self._flush()

    def receive(self) -> list[Message]:
        """Returns the messages received since the last call. Call it regularly: it also sends what is buffered."""
        self._flush()
        with suppress(OSError):
            while more := self._socket.recv(65536):
                self._read += more
        *lines, self._read = self._read.split(b"\n")
        messages = []
        for line in lines:
            try:
                messages.append(decode(line))
            except msgspec.MsgspecError as error:
                log.error("ignored an invalid message from an engine: %s", error)
        return messages

    def close(self) -> None:
        """Closes the channel."""
        self._socket.close()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            if len(self._unsent) > LONGEST_LINE:
                log.error("an engine does not read its messages: its channel is closed")
                self._unsent.clear()
                self.close()
        except OSError:
            self._unsent.clear()

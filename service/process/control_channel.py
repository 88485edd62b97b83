"""What the supervisor and an engine process say to each other: JSON, a line each.

The channel is a lifeline, too: when one end closes, the other knows that its peer has died.
"""

import asyncio
import logging
import socket
from contextlib import suppress

import msgspec

from service.types import ModelKey, ModelState

log = logging.getLogger("tagwerk.supervisor")

LONGEST_LINE = 64 * 2**20  # bytes: some hundred thousand versions with the reasons why they are refused


class Load(msgspec.Struct, tag=True, frozen=True):
    """Supervisor, first of all: the versions to load, and whether another engine serves meanwhile."""

    versions: tuple[ModelKey, ...]
    beside_another: bool


class Direct(msgspec.Struct, tag=True, frozen=True):
    """Supervisor: the share of requests of each version, the versions that are refused, the default models."""

    shares: tuple[tuple[ModelKey, float], ...]
    refused: tuple[ModelState, ...]
    defaults: tuple[str, ...] = ()  # names of models that answer the requests for their task that name none


class Retire(msgspec.Struct, tag=True, frozen=True):
    """Supervisor: another engine has taken your place. Answer until your callers have gone."""


class Loading(msgspec.Struct, tag=True, frozen=True):
    """Engine: it begins to load a version. If it dies before it says more, that is why."""

    key: ModelKey


class Loaded(msgspec.Struct, tag=True, frozen=True):
    """Engine: what was to be loaded is ready, or refused, and workers may come.

    `unread` are those whose files it could not read though the supervisor could: perhaps the store was away.
    """

    states: tuple[ModelState, ...]
    unread: tuple[ModelState, ...] = ()


Word = Load | Direct | Retire | Loading | Loaded
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Word] = msgspec.json.Decoder(Word)


def line(word: Word) -> bytes:
    """Returns a word as a line."""
    return _encoder.encode(word) + b"\n"


def word(line: bytes) -> Word:
    """Undoes `line`. Raises MsgspecError."""
    return _decoder.decode(line)


async def open_channel(end: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Opens the engine's end of a channel, which reads lines of any length that a word may have."""
    return await asyncio.open_connection(sock=end, limit=LONGEST_LINE)


class Channel:
    """The supervisor's end. It never waits for the engine: what does not fit into the socket is kept until it does."""

    def __init__(self) -> None:
        self._socket, self.other_end = socket.socketpair()
        self._socket.setblocking(False)
        self._unsent = bytearray()
        self._read = b""

    def say(self, word: Word) -> None:
        """Says something, as soon as the engine reads it; to one that has died, nothing."""
        self._unsent += line(word)
        self._send()

    def hear(self) -> list[Word]:
        """Returns what was said since the last time. To be called again and again: it sends what is not sent yet."""
        self._send()
        with suppress(OSError):
            while more := self._socket.recv(65536):
                self._read += more
        *lines, self._read = self._read.split(b"\n")
        words = []
        for said in lines:
            try:
                words.append(word(said))
            except msgspec.MsgspecError as error:
                log.error("an engine said what is no word of the channel, which is ignored: %s", error)
        return words

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def _send(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            if len(self._unsent) > LONGEST_LINE:
                log.error("an engine does not read what it is told: the channel to it is closed")
                self._unsent.clear()
                self.close()
        except OSError:
            self._unsent.clear()

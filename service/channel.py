"""What the supervisor and an engine process say to each other: JSON, a line each.

The channel is a lifeline, too: when one end closes, the other knows that its peer has died.
"""

import socket
from contextlib import suppress

import msgspec

from service.engine.protocol import ModelKey, ModelState


class Load(msgspec.Struct, tag=True, frozen=True):
    """Supervisor, first of all: the versions to load, and whether another engine serves meanwhile.

    In haste those that served in an engine that has died, since clients wait for this one.
    """

    versions: tuple[ModelKey, ...]
    beside_another: bool
    in_haste: tuple[ModelKey, ...] = ()


class Direct(msgspec.Struct, tag=True, frozen=True):
    """Supervisor: the share of requests of each version, and the versions that are refused."""

    shares: tuple[tuple[ModelKey, float], ...]
    refused: tuple[ModelState, ...]


class Retire(msgspec.Struct, tag=True, frozen=True):
    """Supervisor: another engine has taken your place. Answer until your callers have gone."""


class Loaded(msgspec.Struct, tag=True, frozen=True):
    """Engine: what was to be loaded is ready, or refused, and workers may come."""

    states: tuple[ModelState, ...]


Word = Load | Direct | Retire | Loaded
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Word] = msgspec.json.Decoder(Word)


def line(word: Word) -> bytes:
    """Returns a word as a line."""
    return _encoder.encode(word) + b"\n"


def word(line: bytes) -> Word:
    """Undoes `line`."""
    return _decoder.decode(line)


class Channel:
    """The supervisor's end. It never waits for the engine."""

    def __init__(self) -> None:
        self._socket, self.other_end = socket.socketpair()
        self._socket.setblocking(False)
        self._read = b""

    def say(self, word: Word) -> None:
        """Says something; to one that has died, nothing."""
        with suppress(OSError):
            self._socket.sendall(line(word))

    def hear(self) -> list[Word]:
        """Returns what was said since the last time."""
        with suppress(OSError):
            while more := self._socket.recv(65536):
                self._read += more
        *lines, self._read = self._read.split(b"\n")
        return [word(line) for line in lines]

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

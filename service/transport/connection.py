"""One side of the connection between an api worker and the engine process."""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

import msgspec

from service.transport.messages import AnyMessage, Unframer, frames

log = logging.getLogger("tagwerk.engine")

UNSENT_BYTES = 16 * 2**20  # size of the write buffer above which answers wait
STALLED_SECONDS = 10.0  # time above that size after which the connection is closed


class Connection(asyncio.Protocol):
    """Sends and receives messages. Those of one event loop iteration are sent together.

    Attributes:
        reads: number of reads from the socket.
        writable: False while the write buffer is full; large messages wait for `on_writable`.
    """

    def __init__(
        self,
        on_open: Callable[["Connection"], None],
        on_message: Callable[["Connection", AnyMessage], None],
        on_close: Callable[["Connection"], None],
        on_writable: Callable[["Connection"], None] = lambda connection: None,
    ) -> None:
        self.reads = 0
        self.writable = True
        self._on_open = on_open
        self._on_message = on_message
        self._on_close = on_close
        self._unframer = Unframer()
        self._outbox: list[AnyMessage] = []
        self._transport: asyncio.Transport | None = None
        self._on_writable = on_writable
        self._stalled: asyncio.TimerHandle | None = None

    def send(self, message: AnyMessage) -> None:
        """Sends a message. Does nothing on a closed connection."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self.flush)
        self._outbox.append(message)

    def close(self) -> None:
        """Sends what is pending and closes."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def flush(self) -> None:
        """Sends the messages buffered in this iteration of the event loop."""
        outbox, self._outbox = self._outbox, []
        if outbox and self._transport is not None:
            for frame in frames(outbox):
                self._transport.write(frame)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(UNSENT_BYTES)
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio. An invalid frame closes the connection; an error in one message does not affect others."""
        self.reads += 1
        try:
            for message in self._unframer.feed(data):
                try:
                    self._on_message(self, message)
                except Exception:
                    log.exception("failed to handle a message of type %s", type(message).__name__)
        except msgspec.MsgspecError as error:
            log.error("closed a connection after an invalid frame: %s", error)
            self.close()

    def pause_writing(self) -> None:
        """Called by asyncio when the write buffer is full."""
        self.writable = False
        self._stalled = asyncio.get_running_loop().call_later(STALLED_SECONDS, self._close_stalled)

    def resume_writing(self) -> None:
        """Called by asyncio when the write buffer has drained."""
        self.writable = True
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
            self._on_writable(self)

    def _close_stalled(self) -> None:
        if self._transport is not None:
            waiting = self._transport.get_write_buffer_size()
            log.error("closed a connection to a peer that does not read: %d bytes unsent", waiting)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        if self._stalled is not None:
            self._stalled.cancel()
        self._on_close(self)

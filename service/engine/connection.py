"""One side of the connection between an api worker and the engine process."""

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec

from service.engine.messages import AnyMessage, Unframer, frame


class Connection(asyncio.Protocol):
    """Sends and receives messages. What is said within one turn of the event loop goes out as one frame."""

    def __init__(
        self,
        on_open: Callable[["Connection"], None],
        on_message: Callable[["Connection", AnyMessage], None],
        on_close: Callable[["Connection"], None],
    ) -> None:
        self._on_open = on_open
        self._on_message = on_message
        self._on_close = on_close
        self._unframer = Unframer()
        self._outbox: list[AnyMessage] = []
        self._transport: asyncio.Transport | None = None

    def send(self, message: AnyMessage) -> None:
        """Says something; to a connection that is closed, nothing."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append(message)

    def close(self) -> None:
        """Says what is left to say and closes."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        if outbox and self._transport is not None:
            self._transport.write(frame(outbox))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio. A peer that talks nonsense is hung up on."""
        try:
            for message in self._unframer.feed(data):
                self._on_message(self, message)
        except msgspec.MsgspecError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        self._on_close(self)

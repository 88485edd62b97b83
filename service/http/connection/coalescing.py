"""A transport that writes at once what one turn of the event loop has to say, and waits for no client for ever."""

import asyncio

FLUSH_BYTES = 65_536  # more is written at once, so that the transport can say when it is too much


class CoalescingTransport(asyncio.Transport):
    """Collects what is written within one turn of the event loop, an answer's head and its body, into one write."""

    def __init__(self, transport: asyncio.Transport, stall_seconds: float) -> None:
        """`stall_seconds` is how long a client may take nothing of what is to be sent; see `watch_sending`."""
        super().__init__()
        self._transport = transport
        self._stall_seconds = stall_seconds
        self._written = 0  # bytes, in all
        self._sent: int | None = None  # of them, at the last look; None while all is sent
        self._pieces: list[bytes] = []
        self._size = 0
        self._loop = asyncio.get_running_loop()
        # As they are: what is asked once a request should not go through one more layer.
        for name in ("get_extra_info", "is_closing", "pause_reading", "resume_reading", "set_protocol"):
            setattr(self, name, getattr(transport, name))

    def write(self, data: bytes) -> None:  # type: ignore[override]
        """Keeps what is to be written until the end of this turn."""
        if not self._pieces:
            self._loop.call_soon(self.flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what was kept."""
        self._written += self._size
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))

    def close(self) -> None:
        """Closes it when everything is sent."""
        self.flush()
        self._transport.close()
        self.watch_sending()

    def abort(self) -> None:
        """Closes it at once."""
        self._transport.abort()

    def watch_sending(self) -> None:
        """Looks from time to time, until all is sent, whether the client takes something; else closes at once."""
        if self._sent is None and self._transport.get_write_buffer_size():
            self._sent = self._written - self._transport.get_write_buffer_size()
            self._loop.call_later(self._stall_seconds, self._look)

    def _look(self) -> None:
        before, self._sent = self._sent, None
        unsent = self._transport.get_write_buffer_size()
        if unsent and self._written - unsent == before:
            self._transport.abort()
        else:
            self.watch_sending()

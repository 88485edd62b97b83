"""A transport that coalesces the writes of an event loop iteration, and detects clients that stop reading."""

import asyncio

FLUSH_BYTES = 65_536  # more is written at once, so that the transport can apply backpressure


class CoalescingTransport(asyncio.Transport):
    """Coalesces the writes of one event loop iteration, such as a response's head and body."""

    def __init__(self, transport: asyncio.Transport, stall_seconds: float) -> None:
        """`stall_seconds` is how long a client may read nothing while data is unsent; see `watch_sending`."""
        super().__init__()
        self._transport = transport
        self._stall_seconds = stall_seconds
        self._written = 0  # total bytes
        self._sent = 0  # bytes, at the last check
        self._check: asyncio.TimerHandle | None = None  # the next one, while one is scheduled
        self._pieces: list[bytes] = []
        self._size = 0
        self._loop = asyncio.get_running_loop()
        # Bound directly: these are called once per request and need no wrapper.
        for name in ("get_extra_info", "is_closing", "pause_reading", "resume_reading", "set_protocol"):
            setattr(self, name, getattr(transport, name))

    def write(self, data: bytes) -> None:  # type: ignore[override]
        """Buffers data until the end of this event loop iteration."""
        if not self._pieces:
            self._loop.call_soon(self.flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > FLUSH_BYTES:
            self.flush()

    def send(self, data: bytes) -> None:
        """Writes data, such as a whole response, without waiting for more."""
        if self._pieces:
            self.flush()
        self._written += len(data)
        if not self._transport.is_closing():
            self._transport.write(data)

    def flush(self) -> None:
        """Writes the buffered data."""
        self._written += self._size
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))

    def close(self) -> None:
        """Closes the connection once everything is sent."""
        self.flush()
        self._transport.close()
        self.watch_sending()

    def abort(self) -> None:
        """Closes the connection immediately."""
        self._transport.abort()

    def watch_sending(self) -> None:
        """Checks periodically, until all data is sent, that the client reads some; otherwise aborts."""
        if self._check is None and self._transport.get_write_buffer_size():
            self._sent = self._written - self._transport.get_write_buffer_size()
            self._check = self._loop.call_later(self._stall_seconds, self._check_progress)

    def stop(self) -> None:
        """Called when the connection is closed: drops unsent data, and stops watching."""
        self._pieces, self._size = [], 0
        if self._check is not None:
            self._check.cancel()
            self._check = None

    def _check_progress(self) -> None:
        self._check = None
        unsent = self._transport.get_write_buffer_size()
        if unsent and self._written - unsent == self._sent:
            self._transport.abort()
        else:
            self.watch_sending()

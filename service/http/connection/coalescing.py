"""A transport that coalesces the writes of an event loop iteration, and keeps what a client does not read in pieces."""

import asyncio
from collections import deque
from collections.abc import Callable

FLUSH_BYTES = 65_536  # more is written at once, so that the transport can apply backpressure
LEAST_BYTES_PER_SECOND = 1024  # that a client reads while data is unsent


class CoalescingTransport(asyncio.Transport):
    """Coalesces the writes of one event loop iteration, such as a response's head and body.

    While the client does not read, what is written waits here: each piece is freed once it is sent. The transport would
    keep all of what was written in an iteration until the last of it is sent.
    """

    def __init__(self, transport: asyncio.Transport, stall_seconds: float, grow: Callable[[int], None]) -> None:
        """`stall_seconds`: how long a client may read too slowly while data is unsent; see `watch_sending`.

        `grow`: called with the size of data that the client does not read at once.
        """
        super().__init__()
        self._transport = transport
        self._stall_seconds = stall_seconds
        self._grow = grow
        self._written = 0  # total bytes
        self._sent = 0  # bytes, at the last check
        self._check: asyncio.TimerHandle | None = None  # the next one, while one is scheduled
        self._waiting: deque[bytes] = deque()  # for the transport to have sent most of what it has
        self._waiting_size = 0
        self._paused = self._closing = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._loop = asyncio.get_running_loop()
        # Bound directly: these are called once per request and need no wrapper.
        for name in ("get_extra_info", "pause_reading", "resume_reading", "set_protocol"):
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
        self._write(data)

    def flush(self) -> None:
        """Writes the buffered data."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces:
            self._write(b"".join(pieces))

    def _write(self, data: bytes) -> None:
        if self.is_closing():
            return
        self._written += len(data)
        if self._paused:
            self._waiting.append(data)
            self._waiting_size += len(data)
            self._grow(len(data))
        else:
            self._transport.write(data)

    def pause(self) -> None:
        """Called when the transport has enough to send."""
        self._paused = True
        self.watch_sending()

    def resume(self) -> bool:
        """Called when the transport has sent most of what it had; returns whether nothing is left to write."""
        self._paused = False
        while self._waiting and not self._paused:  # writing may pause it
            data = self._waiting.popleft()
            self._waiting_size -= len(data)
            self._transport.write(data)
        if self._closing and not self._waiting:
            self._transport.close()
        return not self._paused

    def is_closing(self) -> bool:
        """Returns whether nothing more can be written."""
        return self._closing or self._transport.is_closing()

    def unsent_bytes(self) -> int:
        """Returns the number of bytes that the client has not read, without those in the system's buffers."""
        return self._size + self._waiting_size + self._transport.get_write_buffer_size()

    def sent_bytes(self) -> int:
        """Returns the number of bytes that the client or the system's buffers have taken."""
        return self._written - self._waiting_size - self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Closes the connection once everything is sent."""
        self.flush()
        self._closing = True
        if not self._waiting:
            self._transport.close()
        self.watch_sending()

    def abort(self) -> None:
        """Closes the connection immediately."""
        self._transport.abort()

    def watch_sending(self) -> None:
        """Checks periodically, until all data is sent, that the client reads fast enough; otherwise aborts."""
        if self._check is None and self.unsent_bytes():
            self._sent = self.sent_bytes()
            self._check = self._loop.call_later(self._stall_seconds, self._check_progress)

    def stop(self) -> None:
        """Called when the connection is closed: drops unsent data, and stops watching."""
        self._pieces, self._size = [], 0
        self._waiting.clear()
        self._waiting_size, self._closing = 0, True
        if self._check is not None:
            self._check.cancel()
            self._check = None

    def _check_progress(self) -> None:
        self._check = None
        least = LEAST_BYTES_PER_SECOND * self._stall_seconds
        if self.unsent_bytes() and self.sent_bytes() - self._sent < least:
            self._transport.abort()
        else:
            self.watch_sending()

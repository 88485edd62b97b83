"""Counts what is written to a client, and pauses reading from it."""

import asyncio

from service.http.connection.uvicorn_private import FlowControl


class CountedTransport(asyncio.Transport):
    """A transport that counts what is written, and writes nothing more once it is closing."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._written = 0  # bytes
        for name in ("abort", "close", "get_extra_info", "is_closing", "pause_reading", "resume_reading"):
            setattr(self, name, getattr(transport, name))

    def write(self, data: bytes) -> None:  # type: ignore[override]
        """Writes data at once."""
        if data and not self._transport.is_closing():
            self._written += len(data)
            self._transport.write(data)

    def unsent_bytes(self) -> int:
        """Returns the number of bytes that the client has not read, without those in the system's buffers."""
        return self._transport.get_write_buffer_size()

    def sent_bytes(self) -> int:
        """Returns the number of bytes that the client or the system's buffers have taken."""
        return self._written - self._transport.get_write_buffer_size()


class Flow(FlowControl):
    """Flow control that reads nothing while something waits to be parsed, or the client leaves answers unread.

    Answers do not wait for their client: they are written at once, and count as held until they are read. So a request
    that is done takes no other memory, and a client that does not read keeps nothing waiting.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self.ahead = False  # something waits to be parsed

    async def drain(self) -> None:
        """Does not wait; called by uvicorn before each write."""

    async def drained(self) -> None:
        """Waits until the client has read most of what is written."""
        await super().drain()

    def resume_reading(self) -> None:
        """Resumes reading, if nothing is to be done before."""
        if not (self.ahead or self.write_paused):
            super().resume_reading()

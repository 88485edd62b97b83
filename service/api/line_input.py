"""Splits a newline-delimited body into lines while it arrives. Blank bytes cost hardly any time."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from service.errors import NotReceived, TooLarge
from service.http.connection.bounded_protocol import CLOSE_DELAY_SECONDS

_LINE = re.compile(rb"\S[^\n]*")


class LineInput:
    """Reads lines from a body that is still arriving, and enforces its limits."""

    def __init__(
        self,
        receive: Receive,
        limit: int,
        timeout_seconds: float,
        idle_seconds: Callable[[], float],
        hold: Callable[[int], None],
    ) -> None:
        """A line has at most `limit` bytes, and must be complete within `timeout_seconds` of its first byte.

        The next line must begin within the same time after the last one was answered: `idle_seconds` returns the time
        since then, 0 while a line is processed. `hold` is called with each change of the unfinished line's bytes.
        """
        self._receive = receive
        self._limit = limit
        self._timeout_seconds = timeout_seconds
        self._idle_seconds = idle_seconds
        self._hold = hold
        self._line = bytearray()  # the unfinished one
        self._deadline = time.monotonic() + timeout_seconds

    async def lines(self) -> AsyncIterator[bytes]:
        """Yields the non-blank lines. Raises TooLarge, NotReceived, ClientDisconnect."""
        more = True
        while more:
            chunk, more = await self._next_chunk()
            held, ended = len(self._line), list[bytes]()
            if end := chunk.rfind(b"\n") + 1:
                ended = _LINE.findall(self._line + chunk[:end])
                self._line.clear()
            self._line += chunk[end:] if self._line else chunk[end:].lstrip()
            if ended or (self._line and not held):  # blank bytes do not extend the time
                self._deadline = time.monotonic() + self._timeout_seconds
            for line in ended:
                yield line
            self._hold(len(self._line) - held)
            if len(self._line) > self._limit:
                raise TooLarge("", "a line too long", f"at most {self._limit} bytes")
        self._hold(-len(self._line))
        if self._line:
            yield bytes(self._line)

    async def _next_chunk(self) -> tuple[bytes, bool]:
        """Returns the next bytes, and whether more may follow."""
        while True:
            message = None
            if (left := self._deadline - time.monotonic()) > 0:
                # The event loop may have been late: waits once more, so that what has arrived is read first.
                message = await self._received(left) or await self._received(CLOSE_DELAY_SECONDS)
            if message is None:
                idle_seconds = self._idle_seconds()
                if self._line or idle_seconds >= self._timeout_seconds:
                    raise NotReceived(self._timeout_seconds)
                self._deadline = time.monotonic() + self._timeout_seconds - idle_seconds
            elif message["type"] == "http.disconnect":
                raise ClientDisconnect
            else:
                return message.get("body", b""), message.get("more_body", False)

    async def _received(self, seconds: float) -> Message | None:
        """Returns the next message; None after a timeout."""
        try:
            async with asyncio.timeout(seconds):
                return await self._receive()
        except TimeoutError:
            return None

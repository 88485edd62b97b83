"""Splits a newline-delimited body into lines. Blank bytes cost hardly any time."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from service.errors import TooLarge
from service.http import problem
from service.http.connection.bounded_protocol import CLOSE_DELAY_SECONDS

MOST_SIZES = 4  # bytes allowed without a complete line, as a multiple of the line limit
_LINE = re.compile(rb"\S[^\n]*")


class LineSplitter:
    """Splits chunks into lines, without blank ones. Of a line over `limit` bytes, yields a part that is still over it.

    Attributes:
        begun: whether a line has begun and not ended.
    """

    def __init__(self, limit: int) -> None:
        self.begun = False
        self._limit = limit
        self._line = bytearray()
        self._without_line = 0  # bytes since the last line

    @property
    def size(self) -> int:
        """The number of bytes of the unfinished line."""
        return len(self._line)

    def split(self, chunk: bytes) -> Iterator[bytes]:
        """Yields the lines that end in a chunk. Raises TooLarge after too many bytes without a line."""
        self._without_line += len(chunk)
        start = 0
        if self.begun:
            end = chunk.find(b"\n")
            self._keep(chunk if end < 0 else chunk[:end])
            if end < 0:
                start = len(chunk)
            else:
                yield from self.rest()
                start, self._without_line = end, len(chunk) - end
        for match in _LINE.finditer(chunk, start):
            if match.end() == len(chunk):
                self._keep(match[0])
            else:
                self._without_line = len(chunk) - match.end()
                yield match[0]
        if self._without_line > (most := MOST_SIZES * self._limit):
            raise TooLarge("", f"{self._without_line} bytes without a line", f"at most {most}")

    def rest(self) -> Iterator[bytes]:
        """Yields the unfinished line, if there is one."""
        if self.begun:
            line, self._line, self.begun = bytes(self._line), bytearray(), False
            yield line

    def _keep(self, part: bytes) -> None:
        self.begun = True
        self._line += part[: max(self._limit + 1 - len(self._line), 0)]


class LineInput:
    """Reads lines from a body that is still arriving, and enforces its timeouts."""

    def __init__(
        self,
        receive: Receive,
        limit: int,
        timeout_seconds: float,
        idle_seconds: Callable[[], float],
        hold: Callable[[int], None],
    ) -> None:
        """A line has at most `limit` bytes, and must be complete within `timeout_seconds` of its first byte.

        So must the next line begin, counted while no line is being processed: `idle_seconds` returns for how long none
        has been. `hold` is called with each change of the number of bytes of the unfinished line.
        """
        self._hold = hold
        self._receive = receive
        self._splitter = LineSplitter(limit)
        self._timeout_seconds = timeout_seconds
        self._idle_seconds = idle_seconds
        self._left_seconds = timeout_seconds

    async def lines(self) -> AsyncIterator[bytes]:
        """Yields the non-blank lines. Raises TooLarge, Refused after a timeout, ClientDisconnect."""
        more = True
        while more:
            chunk, more = await self._next_chunk()
            was_begun, ended = self._splitter.begun, False
            held = self._splitter.size
            for line in self._splitter.split(chunk):
                ended = True
                yield line
            self._hold(self._splitter.size - held)
            if ended or (self._splitter.begun and not was_begun):  # blank bytes do not extend the time
                self._left_seconds = self._timeout_seconds
        self._hold(-self._splitter.size)
        for line in self._splitter.rest():
            yield line

    async def _next_chunk(self) -> tuple[bytes, bool]:
        """Returns the next bytes, and whether more may follow."""
        while True:
            began = time.monotonic()
            message = await self._received_within(self._left_seconds)
            if message is None and self._left_seconds > 0:
                # The event loop may have been late: waits once more, so that what has arrived is read first.
                message = await self._received_within(CLOSE_DELAY_SECONDS)
            if message is None:
                idle_seconds = self._idle_seconds()
                if self._splitter.begun or idle_seconds >= self._timeout_seconds:
                    raise problem.Refused(problem.late(self._timeout_seconds))
                self._left_seconds = self._timeout_seconds - idle_seconds
                continue
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._left_seconds -= time.monotonic() - began
            return message.get("body", b""), message.get("more_body", False)

    async def _received_within(self, seconds: float) -> Message | None:
        """Returns the next message; None after a timeout."""
        try:
            async with asyncio.timeout(seconds):
                return await self._receive()
        except TimeoutError:
            return None

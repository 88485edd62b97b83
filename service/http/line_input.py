"""Reads the lines of a newline-delimited body, at a cost for each line and hardly any for blank bytes."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from service.errors import TooLarge
from service.http import problem

MOST_SIZES = 4  # of a line: bytes that may come without a line
_LINE = re.compile(rb"\S[^\n]*")


class LineSplitter:
    """Takes chunks and gives the lines that are not blank. Of a line over `limit` bytes it gives a part that is, too.

    Attributes:
        begun: whether a line has begun and not ended.
    """

    def __init__(self, limit: int) -> None:
        self.begun = False
        self._limit = limit
        self._line = bytearray()
        self._without_line = 0  # bytes since the last line

    def split(self, chunk: bytes) -> Iterator[bytes]:
        """Yields the lines that end in a chunk. Raises TooLarge when too much has come without a line."""
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
        """Yields the line that has begun, if there is one, as ended."""
        if self.begun:
            line, self._line, self.begun = bytes(self._line), bytearray(), False
            yield line

    def _keep(self, part: bytes) -> None:
        self.begun = True
        self._line += part[: max(self._limit + 1 - len(self._line), 0)]


class LineInput:
    """The lines of a body that is still arriving, which has to go on arriving."""

    def __init__(self, receive: Receive, limit: int, timeout_seconds: float, idle_seconds: Callable[[], float]) -> None:
        """A line has at most `limit` bytes, and `timeout_seconds` to arrive after it has begun.

        So long may nothing come between lines, beyond the time in which lines are worked on: `idle_seconds` tells for
        how long none has been.
        """
        self._receive = receive
        self._splitter = LineSplitter(limit)
        self._timeout_seconds = timeout_seconds
        self._idle_seconds = idle_seconds
        self._left_seconds = timeout_seconds

    async def lines(self) -> AsyncIterator[bytes]:
        """Yields the lines that are not blank. Raises TooLarge, Refused when they do not arrive, ClientDisconnect."""
        more = True
        while more:
            chunk, more = await self._next_chunk()
            was_begun, ended = self._splitter.begun, False
            for line in self._splitter.split(chunk):
                ended = True
                yield line
            if ended or (self._splitter.begun and not was_begun):  # blank bytes give no more time
                self._left_seconds = self._timeout_seconds
        for line in self._splitter.rest():
            yield line

    async def _next_chunk(self) -> tuple[bytes, bool]:
        """Returns the next bytes, and whether there may be more."""
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._left_seconds):
                    message = await self._receive()
            except TimeoutError:
                idle_seconds = self._idle_seconds()
                if self._splitter.begun or idle_seconds >= self._timeout_seconds:
                    raise problem.Refused(problem.late(self._timeout_seconds)) from None
                self._left_seconds = self._timeout_seconds - idle_seconds
                continue
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._left_seconds -= time.monotonic() - began
            return message.get("body", b""), message.get("more_body", False)

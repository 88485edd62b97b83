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


async def read_lines(
    receive: Receive, limit: int, timeout_seconds: float, idle_seconds: Callable[[], float], hold: Callable[[int], None]
) -> AsyncIterator[bytes]:
    """Yields the non-blank lines of a body that is still arriving. Raises TooLarge, NotReceived, ClientDisconnect.

    A line has at most `limit` bytes, and must be complete within `timeout_seconds` of its first byte.

    The next line must begin within the same time after the last one was answered: `idle_seconds` returns the time
    since then, 0 while a line is processed. `hold` is called with each change of the unfinished line's bytes.
    """
    line = bytearray()  # the unfinished one
    deadline = time.monotonic() + timeout_seconds

    async def next_message() -> Message:
        nonlocal deadline
        while True:
            message = None
            if (left := deadline - time.monotonic()) > 0:
                # The event loop may have been late: waits once more, so that what has arrived is read first.
                message = await _received(receive, left) or await _received(receive, CLOSE_DELAY_SECONDS)
            if message is not None:
                return message
            idle = idle_seconds()
            if line or idle >= timeout_seconds:
                raise NotReceived(timeout_seconds)
            deadline = time.monotonic() + timeout_seconds - idle

    more = True
    while more:
        message = await next_message()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        held, ended = len(line), list[bytes]()
        if end := chunk.rfind(b"\n") + 1:
            ended = _LINE.findall(line + chunk[:end])
            line.clear()
        line += chunk[end:] if line else chunk[end:].lstrip()
        if ended or (line and not held):  # blank bytes do not extend the time
            deadline = time.monotonic() + timeout_seconds
        for one in ended:
            yield one
        hold(len(line) - held)
        if len(line) > limit:
            raise TooLarge("", "a line too long", f"at most {limit} bytes")
    hold(-len(line))
    if line:
        yield bytes(line)


async def _received(receive: Receive, seconds: float) -> Message | None:
    """Returns the next message; None after a timeout."""
    try:
        async with asyncio.timeout(seconds):
            return await receive()
    except TimeoutError:
        return None

"""Bodies that unzip to far more than was sent, and streams of newline-delimited JSON that never have a line."""

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import Sequence

from loadtests.chaos.hostile.attack import (
    NO_ANSWER,
    TASKS,
    Attack,
    Statuses,
    Target,
    field_of,
    head,
    lines,
    request,
    statuses,
)
from loadtests.fuzz.message import chunk
from loadtests.wire import Wire

PIECE_BYTES = 65_536
STREAM_SECONDS = 3.0
RATIO = 1000  # by which gzip shortens what is all the same


def zeros(zipped_bytes: int, byte: bytes) -> bytes:
    """Returns as many equal bytes as gzip shortens to about that many."""
    return byte * (RATIO * zipped_bytes)


def unfinished(path: str) -> bytes:
    """Returns a body whose text is 64 MB of one letter."""
    return b'{"%b": "' % field_of(path).encode() + zeros(65_536, b"a") + b'"}\n'


def followed(path: str, media_type: str) -> bytes:
    """Returns a gzip stream that other bytes follow."""
    content = gzip.compress(b"\n" * 300_000, mtime=0) + b"rest"
    return head(path, f"Content-Encoding: gzip\r\nContent-Length: {len(content)}\r\n", media_type) + content


async def endless(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Sends a stream of one line that never ends, for some seconds, as fast as the service takes it."""

    async def send(start: bytes) -> Statuses:
        piece, until = chunk(b"a" * PIECE_BYTES), time.monotonic() + STREAM_SECONDS
        async with Wire(target.port) as wire:
            sends = await wire.send(start)
            while sends and time.monotonic() < until:
                sends = await wire.send(piece)
            return statuses([await wire.receive(1, 1.0)])

    return sum(await asyncio.gather(*map(send, requests)), Counter())


async def many_lines(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Sends lines and reads their answers for some seconds, then leaves."""

    async def send(content: bytes) -> Statuses:
        async with Wire(target.port) as wire:
            sending = asyncio.create_task(wire.send(content))
            seen = await wire.receive(1, STREAM_SECONDS)
            sending.cancel()
            await asyncio.wait([sending])
            return Counter(seen.statuses or [NO_ANSWER])

    return sum(await asyncio.gather(*map(send, requests)), Counter())


def _streams() -> list[bytes]:
    return [head(path, "Transfer-Encoding: chunked\r\n", "application/x-ndjson") for path in TASKS]


ATTACKS = [
    Attack("4 KB of zipped blank lines", lambda: [lines(path, zeros(4096, b"\n"), zipped=True) for path in TASKS]),
    Attack("64 KB of zipped blank lines", lambda: [lines(path, zeros(65_536, b"\n"), zipped=True) for path in TASKS]),
    Attack(
        "64 KB of zipped spaces in a line", lambda: [lines(path, zeros(65_536, b" "), zipped=True) for path in TASKS]
    ),
    Attack("64 MB in a zipped line", lambda: [lines(path, unfinished(path), zipped=True) for path in TASKS]),
    Attack("64 MB in a zipped body", lambda: [request(path, unfinished(path), zipped=True) for path in TASKS]),
    Attack(
        "gzip that other bytes follow",
        lambda: [followed(path, kind) for path in TASKS for kind in ("application/json", "application/x-ndjson")],
    ),
    Attack("streams of one endless line", _streams, endless),
    Attack("4 MB of lines that are numbers", lambda: [lines(path, b"1\n" * 2_000_000) for path in TASKS], many_lines),
    Attack("4 MB of blank lines", lambda: [lines(path, b"\n" * 4_000_000) for path in TASKS]),
]

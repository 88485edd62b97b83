"""Sends responses in pieces, gzipped where the client accepts that and it is worth the time."""

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.http.context import headers_of
from service.http.negotiation import accepts_gzip
from service.pipelines.formats import JSON
from service.text.slices import Sliced, finish

WORTH_BYTES = 16_384  # below this, compression costs more time than it saves
PIECE_BYTES = 65_536  # sent at once
LEVEL = 3  # output a third larger than level 9's, in a quarter of the time
HEADERS = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}


class Streamed(StreamingResponse):
    """A streamed response, whose source is closed in the end.

    If the client goes, the connection cancels the task; Starlette's would listen for it too.
    """

    def __init__(self, source: AsyncGenerator[bytes, None], **options: Any) -> None:
        super().__init__(source, **options)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response."""
        async with aclosing(self._source):
            await self.stream_response(send)


async def respond(request: Request, pieces: list[bytes], media_type: str = JSON) -> Response:
    """Returns a response made of pieces, gzipped where that pays."""
    if sum(map(len, pieces)) < WORTH_BYTES:
        return response_of(pieces, {}, media_type)
    if not accepts_gzip(headers_of(request)):
        return response_of(pieces, {"Vary": "Accept-Encoding"}, media_type)
    return response_of(await asyncio.to_thread(finish, zipped(pieces)), HEADERS, media_type)


def response_of(pieces: list[bytes], headers: Mapping[str, str], media_type: str) -> Response:
    """Returns a response made of pieces. Each is freed when it is sent: joining them would need the memory twice."""
    if (size := sum(map(len, pieces))) <= PIECE_BYTES:
        return Response(b"".join(pieces), headers=dict(headers), media_type=media_type)
    return Streamed(_one_by_one(deque(pieces)), headers={**headers, "Content-Length": str(size)}, media_type=media_type)


async def _one_by_one(pieces: deque[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in joined(pieces.popleft() for _ in range(len(pieces))):
        yield piece
        await asyncio.sleep(0)


def joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the same bytes in fewer pieces, each but the last of PIECE_BYTES or more."""
    some: list[bytes] = []
    size = 0
    for piece in pieces:
        some.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(some)
            some, size = [], 0
    if some:
        yield b"".join(some)


def zipped(pieces: Iterable[bytes]) -> Sliced[list[bytes]]:
    """Compresses pieces, in slices."""
    zip, found = zlib.compressobj(LEVEL, wbits=16 + zlib.MAX_WBITS), list[bytes]()
    for piece in joined(pieces):
        found.append(zip.compress(piece))
        yield
    return [*filter(None, found), zip.flush()]

"""The representation of an answer: the media type and the coding that a client prefers (RFC 9110), and its chunks."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from service.http.context import headers_of
from service.pipelines.formats import JSON
from service.pipelines.run import PipelineRun
from service.text.interruptible import Interruptible, finish

WORTH_BYTES = 16_384  # below this, compression costs more time than it saves
CHUNK_BYTES = 65_536  # sent at once
LEVEL = 3  # output a third larger than level 9's, in a quarter of the time
HEADERS = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
MOST_NAMES = 100  # names of a header that are read


def wanted(request: Request, offers: Sequence[str]) -> str:
    """Returns the offer that the Accept header prefers, the first of equals. Raises 406 if it accepts none.

    RFC 9110, section 12.5.1.
    """
    header = headers_of(request).get(b"accept")
    if header is None or header == b"*/*":
        return offers[0]
    accept = header.decode("latin-1")
    ranges = qualities(accept)
    best, quality = max(((offer, _quality(offer, ranges)) for offer in offers), key=lambda pair: pair[1])
    if quality <= 0:
        raise HTTPException(406, f"the Accept header, {accept[:200]!r}, allows none of: {', '.join(offers)}")
    return best


def accepts_gzip(headers: Mapping[bytes, bytes]) -> bool:
    """Returns whether a client with these headers accepts gzip (RFC 9110, section 12.5.3)."""
    codings = qualities(headers.get(b"accept-encoding", b"").decode("latin-1"))
    return codings.get("gzip", codings.get("*", 0.0)) > 0


def qualities(header: str) -> dict[str, float]:
    """Parses names and quality values of a header: "text/*;q=0.5, */*" (RFC 9110, section 12.4.2)."""
    found = {}
    for item in header.lower().split(",", MOST_NAMES)[:MOST_NAMES]:
        name, _, parameters = item.partition(";")
        found[name.strip()] = _weight(parameters)
    return found


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0


def _quality(offer: str, ranges: Mapping[str, float]) -> float:
    """Returns an offer's quality value by the most specific range that matches it."""
    names = (offer, offer.split("/")[0] + "/*", "*/*")
    return next((ranges[name] for name in names if name in ranges), 0.0)


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


async def respond(request: Request, chunks: list[bytes], media_type: str = JSON) -> Response:
    """Returns a response made of chunks, gzipped where that pays."""
    if sum(map(len, chunks)) < WORTH_BYTES:
        return response_of(request, chunks, {}, media_type)
    if not accepts_gzip(headers_of(request)):
        return response_of(request, chunks, {"Vary": "Accept-Encoding"}, media_type)
    return response_of(request, await asyncio.to_thread(finish, zipped(chunks)), HEADERS, media_type)


def response_of(request: Request, chunks: list[bytes], headers: Mapping[str, str], media_type: str) -> Response:
    """Returns a response made of chunks. Each is freed when it is sent: joining them would need the memory twice."""
    if (size := sum(map(len, chunks))) <= CHUNK_BYTES:
        return Response(b"".join(chunks), headers=dict(headers), media_type=media_type)
    headers = {**headers, "Content-Length": str(size)}
    return Streamed(_one_by_one(request, chunks), headers=headers, media_type=media_type)


async def _one_by_one(request: Request, chunks: list[bytes]) -> AsyncGenerator[bytes, None]:
    run: PipelineRun | None = request.scope["state"].get("run")
    for chunk in joined(emptied(chunks)):
        if run is not None:
            run.release(len(chunk))  # it counts as unsent from now on
        yield chunk
        await asyncio.sleep(0)


def emptied(chunks: list[bytes]) -> Iterator[bytes]:
    """Yields chunks in order and takes them out of their list, so that each is freed once it is sent."""
    chunks.reverse()
    while chunks:
        yield chunks.pop()


def joined(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the same bytes in fewer chunks, each but the last of CHUNK_BYTES or more."""
    some: list[bytes] = []
    size = 0
    for chunk in chunks:
        some.append(chunk)
        size += len(chunk)
        if size >= CHUNK_BYTES:
            yield b"".join(some)
            some, size = [], 0
    if some:
        yield b"".join(some)


def zipped(chunks: Iterable[bytes]) -> Interruptible[list[bytes]]:
    """Compresses chunks, interruptibly."""
    zip, found = zlib.compressobj(LEVEL, wbits=16 + zlib.MAX_WBITS), list[bytes]()
    for chunk in joined(chunks):
        found.append(zip.compress(chunk))
        yield
    return [*filter(None, found), zip.flush()]

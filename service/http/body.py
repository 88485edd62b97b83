"""Receives a request body, decompressed and limited in size."""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from service.errors import ClientGone, InvalidInput, TooLarge

PIECE_BYTES = 65_536  # decompressed at once: a small body can expand a thousandfold
MOST_RATIO = 100  # decompressed bytes per compressed byte of a stream, beyond the size limit of a body
_GZIP = 16 + zlib.MAX_WBITS


class Body:
    """Wraps ASGI's `receive`. `limit` is in decompressed bytes.

    A handler that streams the body sets it to None. Then the decompressed bytes are limited relative to the compressed
    ones, and the handler calls `hold` for the bytes that it keeps.
    """

    def __init__(
        self, headers: Mapping[bytes, bytes], receive: Receive, limit: int, hold: Callable[[int], None]
    ) -> None:
        """`hold` is called with each change of the number of bytes that are held."""
        self.limit: int | None = limit
        self.in_progress = 0  # bytes, counted by the resources of pipelines until the request is answered
        self._held = 0
        self._hold = hold
        self._size = limit
        self._zipped = 0  # bytes before decompression
        self._receive = receive
        self._announced = headers.get(b"content-length", b"0")
        self._received = 0
        self._coding = headers.get(b"content-encoding", b"").strip().lower()
        self._unzip = zlib.decompressobj(_GZIP) if self._coding == b"gzip" else None
        self._last: Message | None = None  # the message that is not fully decompressed yet

    async def receive(self) -> Message:
        """Returns the next message. Raises TooLarge above the limit, or at once if Content-Length is above it.

        Raises InvalidInput for an invalid gzip body, and 415 for another encoding.
        """
        limit = self.limit
        if limit is not None and self._announced.isdigit() and int(self._announced[:20]) > limit:
            raise _too_large(limit)
        if self._last is None:
            message = await self._receive()
            self._zipped += len(message.get("body", b""))
        else:
            message = self._last
            await asyncio.sleep(0)  # a message may decompress to many pieces: yields to other requests between them
        if message["type"] == "http.request":
            if self._coding and self._coding != b"identity":
                message = self._unzipped(message)
            self._received += len(message.get("body", b""))
            if limit is not None and max(self._received, self._zipped) > limit:
                raise _too_large(limit)
            if limit is None and self._unzip and self._received > self._size + MOST_RATIO * self._zipped:
                problem = f"it unzips to more than {MOST_RATIO} times its size"
                raise TooLarge("", problem, f"{self._size} bytes, and {MOST_RATIO} more for each byte sent")
            if limit is not None:
                self.hold(len(message.get("body", b"")))
        return message

    def hold(self, size: int) -> None:
        """Adds to the bytes that are held for the request, or takes from them."""
        self._held += size
        self._hold(size)

    def release(self) -> None:
        """Gives up all that is held for the request, which is over."""
        self.hold(-self._held)

    def _unzipped(self, message: Message) -> Message:
        """Returns the next decompressed piece of a message, and keeps the message until it is used up."""
        unzip = self._unzip
        if unzip is None:
            coding = self._coding.decode("latin-1")[:40]
            raise HTTPException(415, f"the Content-Encoding is {coding!r}; allowed: gzip", {"Accept-Encoding": "gzip"})
        try:
            piece = unzip.decompress(unzip.unconsumed_tail or message.get("body", b""), PIECE_BYTES)
        except zlib.error as error:
            raise _not_gzip(str(error)) from None
        if unzip.unused_data:  # its tail stays: no later call would consume it
            raise _not_gzip("data follows its end")
        more = message.get("more_body", False)
        unfinished = not unzip.eof and (unzip.unconsumed_tail or len(piece) == PIECE_BYTES)
        self._last = {"type": "http.request", "more_body": more} if unfinished else None
        if not more and self._last is None and not unzip.eof:
            raise _not_gzip("it ends too early")
        return {"type": "http.request", "body": piece, "more_body": more or self._last is not None}


async def content_of(receive: Receive, limit: int) -> bytes:
    """Receives a whole body of at most `limit` bytes. Raises ClientGone.

    Faster than Starlette's, which uses two generators. A body in several messages is collected in memory of its own,
    which returns to the system at once, also when the body is refused; pieces on the heap would leave it fragmented.
    """
    content: mmap | None = None
    try:
        while (message := await receive())["type"] == "http.request":
            piece: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            if content is None:
                if not more:
                    return piece
                content = mmap(-1, limit, flags=MAP_PRIVATE | MAP_ANONYMOUS)
            content.write(piece)
            if not more:
                return content[: content.tell()]
            del message, piece  # otherwise kept until the next arrives
    finally:
        if content is not None:
            content.close()
    raise ClientGone("the client closed its connection before its request was complete")


def _too_large(limit: int) -> TooLarge:
    return TooLarge("", "too large", f"at most {limit} bytes")


def _not_gzip(problem: str) -> InvalidInput:
    return InvalidInput("/headers/Content-Encoding", f"the body is not gzip: {problem}", "one whole gzip stream")

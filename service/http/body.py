"""The body of a request on its way in: within a limit, and unzipped."""

import asyncio
import zlib
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from service.errors import ClientGone, InvalidInput, TooLarge

PIECE_BYTES = 65_536  # a small body can unzip to a thousand times its size; it is never held in one piece
MOST_RATIO = 100  # bytes that a byte of a gzipped stream may unzip to, beyond the size of a body
_GZIP = 16 + zlib.MAX_WBITS


class Body:
    """Wraps ASGI's `receive`. `limit` is in bytes, unzipped.

    None is for a handler that reads piece by piece; what a gzipped body unzips to is limited by what came then.
    """

    def __init__(self, headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> None:
        self.limit: int | None = limit
        self._size = limit
        self._zipped = 0  # bytes, as they came
        self._receive = receive
        self._announced = headers.get(b"content-length", b"0")
        self._received = 0
        self._coding = headers.get(b"content-encoding", b"").strip().lower()
        self._unzip = zlib.decompressobj(_GZIP) if self._coding == b"gzip" else None
        self._last: Message | None = None  # while there is more to unzip in it

    async def receive(self) -> Message:
        """Returns the next message. Raises TooLarge once the body is over the limit, at once where that is announced.

        Raises InvalidInput for a body that is not gzip though it says so, and 415 for another coding.
        """
        limit = self.limit
        if limit is not None and self._announced.isdigit() and int(self._announced[:20]) > limit:
            raise _too_large(limit)
        if self._last is None:
            message = await self._receive()
            self._zipped += len(message.get("body", b""))
        else:
            message = self._last
            await asyncio.sleep(0)  # a message may unzip to many pieces: others have their turn between them
        if message["type"] == "http.request":
            if self._coding and self._coding != b"identity":
                message = self._unzipped(message)
            self._received += len(message.get("body", b""))
            if limit is not None and max(self._received, self._zipped) > limit:
                raise _too_large(limit)
            if limit is None and self._unzip and self._received > self._size + MOST_RATIO * self._zipped:
                problem = f"it unzips to more than {MOST_RATIO} times its size"
                raise TooLarge("", problem, f"{self._size} bytes, and {MOST_RATIO} more for each byte sent")
        return message

    def _unzipped(self, message: Message) -> Message:
        """Returns the next piece of what a message holds, and remembers the message until all of it is taken."""
        unzip = self._unzip
        if unzip is None:
            coding = self._coding.decode("latin-1")[:40]
            raise HTTPException(415, f"the Content-Encoding is {coding!r}; allowed: gzip", {"Accept-Encoding": "gzip"})
        try:
            piece = unzip.decompress(unzip.unconsumed_tail or message.get("body", b""), PIECE_BYTES)
        except zlib.error as error:
            raise _not_gzip(str(error)) from None
        if unzip.unused_data:  # and its tail stays as it is: no call would ever take it
            raise _not_gzip("it goes on after its end")
        more = message.get("more_body", False)
        unfinished = not unzip.eof and (unzip.unconsumed_tail or len(piece) == PIECE_BYTES)
        self._last = {"type": "http.request", "more_body": more} if unfinished else None
        if not more and self._last is None and not unzip.eof:
            raise _not_gzip("it is cut off")
        return {"type": "http.request", "body": piece, "more_body": more or self._last is not None}


async def content_of(receive: Receive) -> bytes:
    """Receives a whole body. Raises ClientGone. Starlette's own way goes through two generators."""
    pieces = []
    while (message := await receive())["type"] == "http.request":
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    raise ClientGone("the client closed its connection before its request was whole")


def _too_large(limit: int) -> TooLarge:
    return TooLarge("", "too large", f"at most {limit} bytes")


def _not_gzip(problem: str) -> InvalidInput:
    return InvalidInput("/headers/Content-Encoding", f"the body is not gzip: {problem}", "one whole gzip stream")

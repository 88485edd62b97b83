"""Receives, parses and validates request bodies. Each limit is checked before the work that it limits."""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from service.errors import ClientGone, InvalidInput, InvalidJson, TooLarge
from service.http.context import Context, context_of
from service.http.validation import not_valid
from service.settings import Settings

CHUNK_BYTES = 65_536  # decompressed at once: a small body can expand a thousandfold
MOST_RATIO = 100  # decompressed bytes per compressed byte of a stream, beyond the size limit of a body
_GZIP = 16 + zlib.MAX_WBITS
LARGE_BYTES = 65_536  # larger bodies are parsed one at a time
STRUCTURE = b",:[]{}"
MARKS_AN_ITEM = 3  # per item of a list of sentences: a comma and two brackets; of texts, a comma
MARKS_BESIDE = 4096  # for the other fields: 16 stop strings of 100 commas, parameters, tensor names and shapes
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


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
        announced = headers.get(b"content-length", b"0")
        self._announced = int(announced[:20]) if announced.isdigit() else 0
        self._received = 0
        self._coding = headers.get(b"content-encoding", b"").strip().lower()
        self._unzip = zlib.decompressobj(_GZIP) if self._coding == b"gzip" else None
        self._last: Message | None = None  # the message that is not fully decompressed yet

    async def receive(self) -> Message:
        """Returns the next message. Raises TooLarge above the limit, or at once if Content-Length is above it.

        Raises InvalidInput for an invalid gzip body, and 415 for another encoding.
        """
        limit = self.limit
        if limit is not None and self._announced > limit:
            raise _too_large(limit)
        if self._last is None:
            message = await self._receive()
            self._zipped += len(message.get("body", b""))
        else:
            message = self._last
            await asyncio.sleep(0)  # a message may decompress to many chunks: yields to other requests between them
        if message["type"] == "http.request":
            if self._coding and self._coding != b"identity":
                message = self._unzipped(message)
            size = len(message.get("body", b""))
            self._received += size
            if limit is not None:
                if max(self._received, self._zipped) > limit:
                    raise _too_large(limit)
                self.hold(size)
            elif self._unzip and self._received > self._size + MOST_RATIO * self._zipped:
                problem = f"it unzips to more than {MOST_RATIO} times its size"
                raise TooLarge("", problem, f"{self._size} bytes, and {MOST_RATIO} more for each byte sent")
        return message

    def hold(self, size: int) -> None:
        """Adds to the bytes that are held for the request, or takes from them."""
        self._held += size
        self._hold(size)

    def release(self) -> None:
        """Gives up all that is held for the request, which is over."""
        self.hold(-self._held)

    def _unzipped(self, message: Message) -> Message:
        """Returns the next decompressed chunk of a message, and keeps the message until it is used up."""
        unzip = self._unzip
        if unzip is None:
            coding = self._coding.decode("latin-1")[:40]
            raise HTTPException(415, f"the Content-Encoding is {coding!r}; allowed: gzip", {"Accept-Encoding": "gzip"})
        try:
            chunk = unzip.decompress(unzip.unconsumed_tail or message.get("body", b""), CHUNK_BYTES)
        except zlib.error as error:
            raise _not_gzip(str(error)) from None
        if unzip.unused_data:  # its tail stays: no later call would consume it
            raise _not_gzip("data follows its end")
        more = message.get("more_body", False)
        unfinished = not unzip.eof and (unzip.unconsumed_tail or len(chunk) == CHUNK_BYTES)
        self._last = {"type": "http.request", "more_body": more} if unfinished else None
        if not more and self._last is None and not unzip.eof:
            raise _not_gzip("it ends too early")
        return {"type": "http.request", "body": chunk, "more_body": more or self._last is not None}


async def content_of(receive: Receive, limit: int) -> bytes:
    """Receives a whole body of at most `limit` bytes. Raises ClientGone.

    Faster than Starlette's, which uses two generators. A body in several messages is collected in its own memory,
    which returns to the system at once, also when the body is refused; chunks on the heap would leave it fragmented.
    """
    content: mmap | None = None
    try:
        while (message := await receive())["type"] == "http.request":
            chunk: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            if content is None:
                if not more:
                    return chunk
                content = mmap(-1, limit, flags=MAP_PRIVATE | MAP_ANONYMOUS)
            content.write(chunk)
            if not more:
                return content[: content.tell()]
            del message, chunk  # otherwise kept until the next arrives
    finally:
        if content is not None:
            content.close()
    raise ClientGone("the client closed its connection before its request was complete")


def _too_large(limit: int) -> TooLarge:
    return TooLarge("", "too large", f"at most {limit} bytes")


def _not_gzip(problem: str) -> InvalidInput:
    return InvalidInput("/headers/Content-Encoding", f"the body is not gzip: {problem}", "one whole gzip stream")


async def read(request: Request, schema: type[M]) -> M:
    """Receives and parses a body. Raises what `receive` and `parse` raise."""
    content, context = await receive(request), context_of(request)
    return await in_turn(context, content, lambda: parse(content, schema, context.settings))


async def receive(request: Request) -> bytes:
    """Receives a body, and begins its request. Raises TooLarge, InvalidInput, ClientGone, Overloaded."""
    context, body = context_of(request), request.scope["state"]["body"]
    content = await content_of(request.receive, context.settings.max_body_bytes)
    context.begin(len(content))
    body.in_progress = len(content)
    return content


async def in_turn(context: Context, content: bytes, work: Callable[[], T]) -> T:
    """Runs work on a body. Large bodies run one at a time, and yield to the event loop after each."""
    if len(content) <= LARGE_BYTES:
        return work()
    async with context.long_work:
        try:
            return work()
        finally:
            await asyncio.sleep(0)


def parse(content: bytes, schema: type[M], settings: Settings) -> M:
    """Parses and validates a body. Raises TooLarge, InvalidJson, and InvalidFields for a schema violation."""
    return validate(parse_json(content, settings), schema, settings)


def validate(value: object, schema: type[M], settings: Settings) -> M:
    """Validates parsed JSON. Raises TooLarge, InvalidFields."""
    try:
        return schema.model_validate(value, context=settings)
    except ValidationError as error:
        raise not_valid(error, value, schema) from None


def parse_json(content: bytes, settings: Settings) -> Any:
    """Parses JSON. Raises TooLarge for more structure than any valid request has, and InvalidJson."""
    most = settings.max_text_characters + MARKS_AN_ITEM * settings.max_items + MARKS_BESIDE
    if len(content) > most and (marks := len(content) - len(content.translate(None, STRUCTURE))) > most:
        raise TooLarge(
            "",
            f"{marks} commas, colons, brackets and braces",
            f"at most {most}, texts included; below /v2 larger tensors can follow the JSON as bytes",
        )
    try:
        return from_json(content, cache_strings="none")
    except ValueError as error:
        if not content.strip():
            raise InvalidJson("the body is empty; allowed: a JSON object") from None
        raise InvalidJson(str(error)) from None

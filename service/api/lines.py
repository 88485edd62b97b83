"""Newline-delimited JSON in and out: each line is a body, and is answered by a line, in order.

Lines are worked on side by side, within a window; while it is full, no more is read, and nothing is read faster than
the answers are taken. So a stream of any length needs a fixed amount of memory.
"""

import asyncio
import json
import logging
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from service.api import problem, trace
from service.api.call import Call
from service.api.compression import LEVEL, takes_gzip
from service.api.context import context, timeout_seconds
from service.api.encoding import to_json
from service.api.timing import Timing
from service.errors import Overloaded, TagwerkError, TooLarge

MEDIA_TYPE = "application/x-ndjson"
WINDOW_BYTES = 65_536  # of the lines under way, or one longer line
SHORTEST_PAUSE_SECONDS = 0.01  # before a line is tried again that found the queue full
LEAST_BYTES = 512  # what the shortest line counts, so that a window is 128 lines at most

log = logging.getLogger("tagwerk.api")
Work = Callable[[Call, Any], Awaitable[dict[str, Any]]]  # a call and its body to its answer


class Window:
    """Counts the bytes under way, for one who brings them and many who finish them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._room = asyncio.Event()

    async def enter(self, size: int) -> None:
        """Waits for room; what is larger than the window enters when it is empty."""
        while self._used and self._used + size > self._size:
            self._room.clear()
            await self._room.wait()
        self._used += size

    def leave(self, size: int) -> None:
        """Makes room."""
        self._used -= size
        self._room.set()


@dataclass(frozen=True, slots=True)
class Answer:
    """A line that comes, and the size of the one that it answers."""

    line: Awaitable[bytes]
    size: int


class LinesResponse(Response):
    """Reads lines and answers them at the same time."""

    def __init__(self, request: Request, work: Work, schema: type[BaseModel]) -> None:
        """`work` answers a body of the given schema. Raises InvalidInput for a timeout that is none."""
        self._here = context(request)
        self._timeout_seconds = timeout_seconds(request, self._here.settings)
        self._request = request
        self._work = work
        self._schema = schema
        self._window = Window(WINDOW_BYTES)
        self._tasks: set[asyncio.Task[bytes]] = set()
        self._gone = False
        self._zip = zlib.compressobj(LEVEL, wbits=16 + zlib.MAX_WBITS) if takes_gzip(request) else None
        request.scope["state"]["body"].limit = None  # a line has one instead
        connection = request.scope["state"].get("connection")
        if connection is not None:
            connection.be_patient()
        coding = {"Content-Encoding": "gzip"} if self._zip else {}
        super().__init__(None, headers={"Vary": "Accept-Encoding"} | coding, media_type=MEDIA_TYPE)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers until the lines end or the client goes.

        A client that takes no answer for as long as a request may last is left: one that sends everything before it
        reads anything would wait for the service, and the service for it.
        """
        started = False

        async def send_piece(body: bytes, more: bool) -> None:
            nonlocal started
            if not started:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                started = True
            async with asyncio.timeout(self._here.settings.request_timeout_seconds):
                await send({"type": "http.response.body", "body": body, "more_body": more})

        under_way: asyncio.Queue[Answer | None] = asyncio.Queue()
        reader = asyncio.create_task(self._read(under_way))
        try:
            while (answer := await under_way.get()) is not None:
                if self._gone:
                    break
                await send_piece(self._zipped(await answer.line), True)
                self._window.leave(answer.size)
            await reader  # raises what ended it; where no line was read, that has a status of its own
            await send_piece(self._zip.flush() if self._zip else b"", False)
        except ClientDisconnect:
            self._here.metrics.cancelled.inc()
        except TimeoutError:
            log.warning("left a client that sends lines and takes no answers: %s", trace.current.get())
        finally:
            for task in (reader, *self._tasks):
                task.cancel()

    async def _read(self, under_way: "asyncio.Queue[Answer | None]") -> None:
        """Starts the work on each line when there is room for it. None follows the last, however it ends."""
        lines = 0
        try:
            async for line in split_lines(self._request.stream(), self._here.settings.max_body_bytes):
                lines += 1
                size = max(len(line), LEAST_BYTES)
                await self._window.enter(size)
                task = asyncio.create_task(self._answer(line))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                under_way.put_nowait(Answer(task, size))
        except TagwerkError as error:  # the stream itself is broken
            if not lines:
                raise
            last = asyncio.get_running_loop().create_future()
            last.set_result(encoded({"error": problem.document(error)}))
            under_way.put_nowait(Answer(last, 0))
        except ClientDisconnect:
            self._gone = True
            raise
        finally:
            under_way.put_nowait(None)

    async def _answer(self, line: bytes) -> bytes:
        """Returns the line that answers a line."""
        timing = Timing(time.monotonic())
        try:
            return encoded(await self._work_patiently(line, timing))
        except TagwerkError as error:
            return encoded({"error": problem.document(error, timing)})
        except problem.Refused as refused:
            return encoded({"error": refused.document})
        except Exception:
            log.exception("failed at a line: %s", trace.current.get())
            return encoded({"error": problem.UNEXPECTED})

    async def _work_patiently(self, line: bytes, timing: Timing) -> dict[str, Any]:
        """Answers a line; a full queue makes it wait, and so the client. Raises what the work raises, and Refused."""
        if len(line) > (most := self._here.settings.max_body_bytes):
            raise TooLarge("", "a line too long", f"at most {most} bytes")
        body = self._parse(line)
        call = Call(self._here, timing, timing.started + self._timeout_seconds)
        while True:
            try:
                return await self._work(call, body)
            except Overloaded as full:
                if time.monotonic() + full.retry_after_seconds >= call.deadline:
                    raise
                await asyncio.sleep(max(full.retry_after_seconds, SHORTEST_PAUSE_SECONDS))

    def _parse(self, line: bytes) -> BaseModel:
        try:
            content = from_json(line)
        except ValueError as error:
            try:
                content = json.loads(line)  # reads lone surrogates, which are the fault of an item alone
            except (ValueError, RecursionError):
                raise problem.Refused(problem.not_json(str(error))) from None
        try:
            return self._schema.model_validate(content)
        except ValidationError as error:
            raise problem.Refused(problem.not_valid(error.errors(), content)) from None

    def _zipped(self, line: bytes) -> bytes:
        return self._zip.compress(line) + self._zip.flush(zlib.Z_SYNC_FLUSH) if self._zip else line


async def split_lines(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Yields the lines that are not blank. Of one that is longer than `limit` bytes it yields a part that is, too."""
    line = bytearray()
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            line += part[: limit + 1]
            if line.strip():
                yield bytes(line)
            line.clear()
        if len(line) <= limit:
            line += rest
    if line.strip():
        yield bytes(line)


def encoded(content: dict[str, Any]) -> bytes:
    """Returns a line."""
    return to_json(content) + b"\n"

"""Newline-delimited JSON: each line is a request body, answered by one line, in order.

Lines are processed concurrently, up to a number of bytes. Above it, no more are read, so reading is never faster than
the client takes the answers, and a stream of any length needs a fixed amount of memory.
"""

import asyncio
import logging
import time
import zlib
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Annotated, Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, PlainValidator, create_model
from pydantic_core import PydanticCustomError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from service.api.line_input import read_lines
from service.api.request_schemas import Strict
from service.engine.requests import ANONYMOUS
from service.errors import Overloaded, TagwerkError, TooLarge
from service.http import problem
from service.http.body import Body, in_turn, parse_json, validate
from service.http.connection.connection import Connection
from service.http.context import context_of, headers_of, pipeline_run, timeout_seconds
from service.http.representation import LEVEL, accepts_gzip, emptied, joined
from service.pipelines.formats import prepend, to_json
from service.pipelines.run import PipelineRun
from service.pipelines.work_limit import Place, WorkLimit
from service.telemetry.request import Timing, current_ids

MEDIA_TYPE = "application/x-ndjson"
LONGEST_ID = 128  # characters
LARGEST_ID = 2**53 - 1  # positive or negative; larger ones are not exact in JavaScript
Id = str | int
Work = Callable[[PipelineRun, Any], Awaitable[list[bytes]]]  # from a run and a line's body to its answer in chunks
E = TypeVar("E", bound=Callable[..., Any])
REQUEST_TEXT = (
    "A JSON object per line, each a whole body, answered by one line, in order. A member `id`, an integer or a string,"
    " is returned with the answer. Blank lines are skipped and have no answer."
)
ANSWER_TEXT = "A JSON object per line: the answer of the request's line in its place, or a problem document as `error`."
OPENAPI = {
    "requestBody": {"content": {MEDIA_TYPE: {"schema": {"type": "string", "description": REQUEST_TEXT}}}},
    "responses": {"200": {"content": {MEDIA_TYPE: {"schema": {"type": "string", "description": ANSWER_TEXT}}}}},
}
MOST_BYTES = 65_536  # of the lines in progress; one longer line is alone
LONGEST_PAUSE_SECONDS = 1.0  # between checks whether the key is still valid
ITERATION_BYTES = 4096  # of the lines that start in one iteration of the event loop, or one longer line
LEAST_BYTES = 512  # counted for a shorter line: 128 lines are in progress at most
log = logging.getLogger("tagwerk.server")


def takes_lines(work: Work) -> Callable[[E], E]:
    """Lets the endpoint of a `JsonRoute` also take newline-delimited JSON; `work` answers a line."""

    def mark(endpoint: E) -> E:
        endpoint.work = work  # type: ignore[attr-defined]
        return endpoint

    return mark


def _is_id(value: object) -> bool:
    if type(value) is str:
        return len(value) <= LONGEST_ID
    return type(value) is int and abs(value) <= LARGEST_ID


def _checked_id(value: object) -> object:
    if not _is_id(value):
        message = "Input should be an integer from {least} to {most}, or a string of at most {length} characters"
        raise PydanticCustomError("id", message, {"least": -LARGEST_ID, "most": LARGEST_ID, "length": LONGEST_ID})
    return value


class Line(Strict):
    """What a line has besides the fields of a body."""

    id: Annotated[Id, PlainValidator(_checked_id)] | None = Field(None, description="Returned with the line's answer.")


@cache
def line_of(schema: type[BaseModel]) -> type[BaseModel]:
    """Returns the schema of a line whose body has the given schema."""
    return create_model(f"{schema.__name__}Line", __base__=(schema, Line), __doc__=schema.__doc__)


Pending = tuple[asyncio.Task[list[bytes]], Place]  # the answer of a line in progress, and its place in the limit


class LinesResponse(Response):
    """Reads lines and answers them concurrently."""

    def __init__(self, request: Request, work: Work, schema: type[BaseModel]) -> None:
        """`work` answers a line of the given schema. Raises InvalidInput for an invalid timeout header."""
        self._context = context_of(request)
        timeout_seconds(request)  # an invalid header has its own status
        self._request = request
        self._work = work
        self._schema = schema
        self._limit = WorkLimit(MOST_BYTES)  # of the lines in progress
        self._last_answer = time.monotonic()
        self._tasks: set[asyncio.Task[list[bytes]]] = set()
        self._zip = zlib.compressobj(LEVEL, wbits=16 + zlib.MAX_WBITS) if accepts_gzip(headers_of(request)) else None
        self._body: Body = request.scope["state"]["body"]
        self._body.limit = None  # each line is limited instead
        self._connection: Connection | None = request.scope["state"].get("connection")
        if self._connection is not None:
            self._connection.streams_body = True
        coding = {"Content-Encoding": "gzip"} if self._zip else {}
        super().__init__(None, headers={"Vary": "Accept-Encoding"} | coding, media_type=MEDIA_TYPE)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers lines until they end or the client disconnects. Waits until the client has read earlier answers."""
        started = False

        async def send_chunk(body: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> None:
            nonlocal started
            if not started:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                started = True
            if self._connection is not None:
                await self._connection.flow.drained()
            if self._zip is not None:
                body = self._zip.compress(body) + self._zip.flush(flush)
            await send({"type": "http.response.body", "body": body, "more_body": flush != zlib.Z_FINISH})

        under_way: asyncio.Queue[Pending | None] = asyncio.Queue()
        reader = asyncio.create_task(self._read(under_way))
        try:
            while (pending := await under_way.get()) is not None:
                answer, place = pending
                for number, chunk in enumerate(joined(emptied(await answer))):
                    if number > 0:
                        await asyncio.sleep(0)
                    self._body.hold(-len(chunk))  # it counts as unsent from now on
                    await send_chunk(chunk)
                self._limit.leave(place)
                self._body.hold(-place.size)
                self._last_answer = time.monotonic()
            try:
                await reader
            except TagwerkError as error:  # the body itself is invalid
                if not started:  # before the first line: it has its own status
                    raise
                await send_chunk(encoded({"error": problem.report(error, self._context.metrics)}))
            await send_chunk(b"", zlib.Z_FINISH)
        except ClientDisconnect:
            self._context.metrics.cancelled.inc()
        finally:
            for task in (reader, *self._tasks):
                task.cancel()
            del reader, task  # the reader's error refers to this frame: a reference cycle would keep the connection

    async def _read(self, under_way: asyncio.Queue[Pending | None]) -> None:
        """Starts the work on each line once the limit admits it. Puts None at the end, also after an error."""
        settings, first, started = self._context.settings, True, 0
        source = read_lines(
            self._request.receive,
            settings.max_body_bytes,
            settings.receive_timeout_seconds,
            lambda: 0.0 if self._limit.in_progress else time.monotonic() - self._last_answer,
            self._body.hold,
        )
        try:
            async for line in source:
                if not first:
                    await self._wait_for_credit()
                first = False
                size = max(len(line), LEAST_BYTES)
                place = self._limit.enter(ANONYMOUS, size, (begun := asyncio.Event()).set)
                await begun.wait()
                self._body.hold(size)
                task = asyncio.create_task(self._answer(line))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                under_way.put_nowait((task, place))
                started += size
                if started >= ITERATION_BYTES:  # a chunk may hold many lines, and each does work at once
                    await asyncio.sleep(0)
                    started = 0
        finally:
            under_way.put_nowait(None)

    async def _wait_for_credit(self) -> None:
        """Waits until the key's rate limit admits one more line. Raises Unauthorized for a revoked key."""
        authenticator, key = self._context.authenticator, self._request.scope["state"]["key"]
        if authenticator is None or key is None:
            return
        while seconds := authenticator.admit_line(key):  # noqa: ASYNC110 (no event says when)
            await asyncio.sleep(min(seconds, LONGEST_PAUSE_SECONDS))

    async def _answer(self, line: bytes) -> list[bytes]:
        """Returns the answer to a line, in chunks, which are held until they are sent."""
        timing, named = Timing(time.monotonic()), dict[str, Id]()
        try:
            chunks = [*prepend(named, await self._work_with_retries(line, timing, named)), b"\n"]
        except TagwerkError as error:
            chunks = [encoded({**named, "error": problem.report(error, self._context.metrics, timing)})]
        except Exception:
            log.exception("failed at a line: %s", current_ids.get())
            chunks = [encoded({**named, "error": problem.UNEXPECTED})]
        self._body.hold(sum(map(len, chunks)))
        return chunks

    async def _work_with_retries(self, line: bytes, timing: Timing, named: dict[str, Id]) -> list[bytes]:
        """Answers a line; retries while the queue is full. Adds the line's id to `named`, as soon as it is known.

        Raises the errors of reading the line, and of the work.
        """
        settings = self._context.settings
        if len(line) > settings.max_body_bytes:
            raise TooLarge("", "a line too long", f"at most {settings.max_body_bytes} bytes")

        def parsed() -> BaseModel:
            value = parse_json(line, settings)
            if isinstance(value, dict) and _is_id(value.get("id")):
                named["id"] = value["id"]
            return validate(value, self._schema, settings)

        body = await in_turn(self._context, line, parsed)
        run = pipeline_run(self._request, timing)
        while True:
            try:
                return await self._work(run, body)
            except Overloaded as full:
                if time.monotonic() + (seconds := full.retry_after_seconds) >= run.deadline:
                    raise
            finally:
                run.end()
            await asyncio.sleep(seconds)


def encoded(content: dict[str, Any]) -> bytes:
    """Encodes a line."""
    return to_json(content) + b"\n"

"""Streams of newline-delimited JSON: lines are sent while answers are read, and results come in the order of the lines.

At most WINDOW lines are without a result that has been taken: the source is read no faster than that, so a stream of
any length needs a fixed amount of memory. Lines whose answers a broken connection has lost are sent again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, TypeVar

import aiohttp
import msgspec

from tagwerk.client import retries
from tagwerk.client.connection import OK, Connection, NoCapacity, decoded, error_of, error_of_problem
from tagwerk.client.errors import Problem, Refused, Unavailable

Result = TypeVar("Result")
WINDOW = 512  # lines
MEDIA_TYPE = "application/x-ndjson"
NO_LINE_IN_TIME = 408


class Line(msgspec.Struct, Generic[Result]):
    """A line of an answer: the results of the request's line with this id, or what is wrong with it."""

    id: int | None = None
    results: tuple[Result, ...] = ()
    error: Problem | None = None


class LineStream(Generic[Result]):
    """Sends a body a line to a path, and yields the first result of each in order.

    Args:
        source: yields the bodies.
        result: the type of a result.
    """

    def __init__(
        self, connection: Connection, path: str, source: AsyncIterator[dict[str, Any]], result: type[Result]
    ) -> None:
        self._connection, self._path, self._source = connection, path, source
        self._decoder = msgspec.json.Decoder(Line[result])  # type: ignore[valid-type]
        self._next: asyncio.Future[dict[str, Any]] | None = None  # the body that is being read
        self._exhausted = False
        self._source_error: Exception | None = None
        self._sent = 0  # lines read from the source; a line's id is its place
        self._taken = 0  # results yielded
        self._unanswered: dict[int, tuple[bytes, float]] = {}  # line and when it was first sent, by id
        self._again: list[int] = []  # ids of lines to send once more, after `_again_at`
        self._again_at = 0.0
        self._done: dict[int, Result | Refused] = {}  # results that wait for an earlier one
        self._changed = asyncio.Event()  # a line may be sent again, or the window has room

    async def results(self) -> AsyncIterator[list[Result | Refused]]:
        """Yields results as they come; a line that is refused has its error.

        Raises Unavailable; and, after the results of the lines before it, an error of the source.
        """
        failures = 0
        try:
            while await self._has_work():
                before = self._taken + len(self._done)
                try:
                    async for found in self._read():
                        yield found
                except (aiohttp.ClientError, Unavailable, NoCapacity) as error:
                    await self._wait_after(error, failures)
                failures = 0 if self._taken + len(self._done) > before else failures + 1
            if self._source_error is not None:
                raise self._source_error
        finally:
            if self._next is not None:
                self._next.cancel()

    async def _has_work(self) -> bool:
        """Waits for a line to send; returns False when all are answered."""
        while not self._unanswered and not self._exhausted:
            if self._from_source() is None:
                await self._change()
        return bool(self._unanswered)

    def _from_source(self) -> bytes | None:
        """Returns the next line if the source has it already; otherwise `_change` returns when it has."""
        if self._exhausted:
            return None
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._source))
            self._next.add_done_callback(lambda _: self._changed.set())
        if not self._next.done():
            return None
        done, self._next = self._next, None
        try:
            body = done.result()
        except StopAsyncIteration:
            self._exhausted = True
            return None
        except Exception as error:
            self._source_error, self._exhausted = error, True
            return None
        id, self._sent = self._sent, self._sent + 1
        line = msgspec.json.encode({"id": id} | body) + b"\n"
        self._unanswered[id] = line, time.monotonic()
        self._connection.budget.deposit()
        return line

    async def _change(self) -> None:
        """Waits until the source has a line, a line is to be sent again, or the window has room."""
        self._changed.clear()
        await self._changed.wait()

    async def _lines(self) -> AsyncIterator[bytes]:
        """Yields what to send on a new connection: all unanswered lines, then further ones."""
        self._again = []
        yield b"".join(line for line, _ in self._unanswered.values())
        while self._unanswered or not self._exhausted:
            if self._again:
                await asyncio.sleep(max(0.0, self._again_at - time.monotonic()))
                if (found := self._unanswered.get(self._again.pop(0))) is not None:
                    yield found[0]
            elif self._sent - self._taken < WINDOW and (line := self._from_source()) is not None:
                yield line
            elif self._unanswered or not self._exhausted:
                await self._change()

    async def _read(self) -> AsyncIterator[list[Result | Refused]]:
        """Opens a connection and yields the results that come over it."""
        async with self._connection.open(self._path, MEDIA_TYPE, self._lines()) as response:
            if response.status != OK:
                raise await error_of(response)
            rest = b""
            while self._unanswered or not self._exhausted:
                piece = await self._piece(response)
                if not piece:
                    return
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._answer(decoded(line, self._decoder))
                if found := list(self._in_order()):
                    self._changed.set()
                    yield found

    async def _piece(self, response: aiohttp.ClientResponse) -> bytes:
        """Reads what has come. Raises Unavailable if nothing comes within the timeout although a line waits."""
        while True:
            try:
                async with asyncio.timeout(self._connection.timeout_seconds):
                    return await response.content.readany()
            except TimeoutError:
                if self._unanswered:
                    raise Unavailable(f"no line within {self._connection.timeout_seconds:g} s") from None

    def _answer(self, line: Line[Result]) -> None:
        """Takes the answer to a line. Raises Refused and Unavailable for one that ends the stream."""
        if line.id is None:
            if line.error is not None and line.error.status != NO_LINE_IN_TIME:
                raise error_of_problem(line.error)
            return
        if line.id not in self._unanswered:
            return  # answered on an earlier connection
        if line.error is None:
            self._done[line.id] = line.results[0]
        else:
            error = error_of_problem(line.error)
            if not isinstance(error, Refused):
                self._send_again(line.id, error)
                return
            self._done[line.id] = error
        del self._unanswered[line.id]

    def _send_again(self, id: int, error: Exception) -> None:
        """Sends a line again unless its time is over. Raises Unavailable, DeadlineExceeded."""
        _, first = self._unanswered[id]
        wait = retries.jittered(error.retry_seconds) if isinstance(error, NoCapacity) else retries.backoff(0)
        if time.monotonic() + wait > first + self._connection.timeout_seconds:
            raise Unavailable(str(error)) if isinstance(error, NoCapacity) else error
        if not isinstance(error, NoCapacity) and not self._connection.budget.withdraw():
            raise error
        self._again_at = time.monotonic() + wait
        self._again.append(id)
        self._changed.set()

    def _in_order(self) -> Iterator[Result | Refused]:
        """Yields the results that no earlier one holds back."""
        while self._taken in self._done:
            yield self._done.pop(self._taken)
            self._taken += 1

    async def _wait_after(self, error: Exception, failures: int) -> None:
        """Waits after a connection that failed. Raises Unavailable when the retries are used up."""
        if isinstance(error, NoCapacity):
            wait, paid = retries.jittered(error.retry_seconds), True
        else:
            wait, paid = retries.backoff(failures), failures == 0 or self._connection.budget.withdraw()
        oldest = min((first for _, first in self._unanswered.values()), default=time.monotonic())
        if not paid or (failures and time.monotonic() + wait > oldest + self._connection.timeout_seconds):
            raise Unavailable(f"the stream failed: {error or type(error).__name__}") from error
        await asyncio.sleep(wait)

"""Well-formed clients, which run all the time, and a raw connection for any other bytes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

import httptools
import httpx

from loadtests.chaos.request_counts import RequestCounts
from loadtests.traffic import Request, mixed

NEIGHBOURS = 8
BOUND_SECONDS = 60.0  # for a request without a deadline of its own; the service's default is 30
GRACE_SECONDS = 15.0  # beyond a deadline, for a machine that is busy


@asynccontextmanager
async def neighbours(port: int, counts: RequestCounts, deadline_seconds: float | None = None) -> AsyncIterator[None]:
    """Runs clients inside the block that send well-formed requests of all kinds; counts each request."""
    stop = asyncio.Event()
    requests = mixed()
    headers = {"X-Request-Timeout-Ms": str(round(1000 * deadline_seconds))} if deadline_seconds else {}
    bound = deadline_seconds + GRACE_SECONDS if deadline_seconds else BOUND_SECONDS

    async def send_requests() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=None, headers=headers) as client:
            while not stop.is_set():
                status = await send(client, next(requests), counts, bound)
                # A refused client waits longer; the pauses leave processor time for what is tested.
                await asyncio.sleep(0.02 if status == 200 else 0.1)

    async with asyncio.TaskGroup() as group:
        for _ in range(NEIGHBOURS):
            group.create_task(send_requests())
        try:
            yield
        finally:
            stop.set()


async def send(client: httpx.AsyncClient, request: Request, counts: RequestCounts, bound: float) -> int | None:
    """Sends a request and counts its outcome; returns its status, if any."""
    path, began = f"/{request.endpoint}", time.monotonic()
    counts.sent += 1
    try:
        async with asyncio.timeout(bound):
            response = await client.post(path, json=request.body)
    except TimeoutError:
        counts.hung += 1
        return None
    except httpx.TransportError:
        counts.lost += 1
        return None
    counts.answered(path, response.status_code, time.monotonic() - began)
    return response.status_code


class Wire:
    """A raw connection, over which any bytes are sent."""

    def __init__(self, port: int, counts: RequestCounts) -> None:
        self._port = port
        self._counts = counts

    async def __aenter__(self) -> "Wire":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._began = time.monotonic()
        self._counts.sent += 1
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def send(self, content: bytes) -> None:
        """Sends bytes, as long as the service keeps the connection open."""
        with suppress(OSError):
            self.writer.write(content)
            await self.writer.drain()

    async def answer(self, path: str | None, bound: float = BOUND_SECONDS) -> int | None:
        """Reads an answer and counts it, for a path, or None for what is no HTTP; returns its status, if any."""
        status = None
        try:
            async with asyncio.timeout(bound):
                status = await self._status()
        except TimeoutError:
            self._counts.hung += 1
            return None
        except OSError:
            pass
        if status is None:
            self._counts.lost += 1
        elif path is None:
            self._counts.unanswerable[status] += 1
        else:
            self._counts.answered(path, status, time.monotonic() - self._began)
        return status

    async def _status(self) -> int | None:
        parser = httptools.HttpResponseParser(_Ignore())
        while content := await self.reader.read(65536):
            parser.feed_data(content)
            if parser.get_status_code():
                return int(parser.get_status_code())
        return None


class _Ignore:
    """A listener without callbacks: the parser alone has the status."""


def post(path: str, content: bytes, headers: str = "") -> bytes:
    """Returns the bytes of a POST of JSON; `headers` are further lines, each with its end."""
    headers = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n{headers}"
    return f"POST {path} HTTP/1.1\r\n{headers}\r\n".encode() + content


_seeds = count()


def endless() -> bytes:
    """Returns the body of a generation that takes seconds."""
    return json.dumps({"prompt": "Where", "max_tokens": 1000, "seed": next(_seeds)}).encode()

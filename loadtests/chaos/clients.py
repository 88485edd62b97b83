"""Clients: those who behave, all the time, and single connections for those who do not."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

import httptools
import httpx

from loadtests.chaos.ledger import Ledger
from loadtests.traffic import Request, mixed

NEIGHBOURS = 8
BOUND_SECONDS = 60.0  # for a request of those who set no deadline; the service's own is 30
GRACE_SECONDS = 15.0  # beyond a deadline, for a machine that is busy


@asynccontextmanager
async def neighbours(port: int, ledger: Ledger, deadline_seconds: float | None = None) -> AsyncIterator[None]:
    """Has clients who send well-formed requests of all kinds in the block, and account for each."""
    stop = asyncio.Event()
    asked = mixed()
    headers = {"X-Request-Timeout-Ms": str(round(1000 * deadline_seconds))} if deadline_seconds else {}
    bound = deadline_seconds + GRACE_SECONDS if deadline_seconds else BOUND_SECONDS

    async def talk() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=None, headers=headers) as client:
            while not stop.is_set():
                status = await ask(client, next(asked), ledger, bound)
                # Who is refused comes again a little later; the others leave the machine time for what is tested.
                await asyncio.sleep(0.02 if status == 200 else 0.1)

    async with asyncio.TaskGroup() as group:
        for _ in range(NEIGHBOURS):
            group.create_task(talk())
        try:
            yield
        finally:
            stop.set()


async def ask(client: httpx.AsyncClient, request: Request, ledger: Ledger, bound: float) -> int | None:
    """Sends a request and notes what came of it; returns its status, if any."""
    path, began = f"/{request.endpoint}", time.monotonic()
    ledger.sent += 1
    try:
        async with asyncio.timeout(bound):
            response = await client.post(path, json=request.body)
    except TimeoutError:
        ledger.hung += 1
        return None
    except httpx.TransportError:
        ledger.lost += 1
        return None
    ledger.answered(path, response.status_code, time.monotonic() - began)
    return response.status_code


class Wire:
    """A connection of somebody who writes bytes as he likes."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        self._port = port
        self._ledger = ledger

    async def __aenter__(self) -> "Wire":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._began = time.monotonic()
        self._ledger.sent += 1
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def send(self, content: bytes) -> None:
        """Sends bytes, as far as the service still listens."""
        with suppress(OSError):
            self.writer.write(content)
            await self.writer.drain()

    async def answer(self, path: str | None, bound: float = BOUND_SECONDS) -> int | None:
        """Reads an answer and notes it, as that of a path, or of what is no HTTP; returns its status, if any."""
        status = None
        try:
            async with asyncio.timeout(bound):
                status = await self._status()
        except TimeoutError:
            self._ledger.hung += 1
            return None
        except OSError:
            pass
        if status is None:
            self._ledger.lost += 1
        elif path is None:
            self._ledger.unanswerable[status] += 1
        else:
            self._ledger.answered(path, status, time.monotonic() - self._began)
        return status

    async def _status(self) -> int | None:
        parser = httptools.HttpResponseParser(_Ignore())
        while content := await self.reader.read(65536):
            parser.feed_data(content)
            if parser.get_status_code():
                return int(parser.get_status_code())
        return None


class _Ignore:
    """A parser's listener that hears nothing."""


def post(path: str, content: bytes, length: int | None = None) -> bytes:
    """Returns a POST of JSON as it goes over the wire, with the length that it says it has."""
    said = len(content) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {said}\r\n\r\n"
    return head.encode() + content


_seeds = count()


def endless() -> bytes:
    """Returns the body of a generation that takes seconds."""
    return json.dumps({"prompt": "Where", "max_tokens": 1000, "seed": next(_seeds)}).encode()

"""A connection without a socket: what it is sent and what it writes are in the test's hands."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from service.api.app import create_app
from service.http.connection.connection import Connection
from service.http.context import Context

DURATION = re.compile(r"dur=[\d.]+")
BATCH = re.compile(r"batch of \d+")  # how sequences are cut into batches depends on the times of steps


class Answer(NamedTuple):
    """A response as it came over the connection, without what differs between two that are equal.

    Attributes:
        headers: in order; without the date, a generated request id, durations, and the size of the batch.
        closes: whether the connection was closed with it.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    closes: bool

    def header(self, name: str) -> str | None:
        """Returns the value of a header; None if there is none."""
        return dict(self.headers).get(name)

    @property
    def document(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = self.closing = False
        self.aborted = False
        self.reading = True
        self.unsent = 0  # bytes that the client does not take

    def write(self, data: bytes) -> None:  # type: ignore[override]
        assert not self.closed
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed or self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers()]

    def answers(self) -> list[Answer]:
        """Returns the whole responses that were written."""
        found, data = [], b"".join(self.written)
        while (one := first_answer(data, self.closed)) is not None:
            answer, data = one
            found.append(answer)
        return found


def first_answer(data: bytes, closed: bool = False) -> tuple[Answer, bytes] | None:
    """Returns the first whole response in data that came over a connection, and what follows it."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    length = int(dict(headers)["content-length"])
    if len(rest) < length:
        return None
    body, rest = rest[:length], rest[length:]
    return Answer(int(first.split()[1]), comparable(headers), body, closed and not rest), rest


def comparable(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Returns headers without what may differ between two answers to the same request."""
    found = []
    for name, value in headers:
        if name == "server-timing":
            found.append((name, BATCH.sub("batch", DURATION.sub("dur=", value))))
        elif name == "x-request-id" and re.fullmatch("[0-9a-f]{32}", value):
            found.append((name, "generated"))
        elif name != "date":
            found.append((name, value))
    return found


def configuration(app: ASGIApp) -> uvicorn.Config:
    """Returns the configuration of connections to an application."""
    config = uvicorn.Config(app, log_config=None, server_header=False, ws="none", lifespan="off")
    config.load()
    return config


def connect(
    context: Context, app: ASGIApp | None = None, config: uvicorn.Config | None = None
) -> tuple[Connection, Wire]:
    """Returns a connection to an application, by default that of the service, and its wire."""
    connection, wire = new_connection(context, config or configuration(app or create_app(context))), Wire()
    connection.connection_made(wire)
    return connection, wire


def new_connection(context: Context, config: uvicorn.Config) -> Connection:
    """Returns a connection that has no transport yet."""
    return Connection(context, config=config, server_state=ServerState(), app_state={})


def no_hold(size: int) -> None:
    """Takes what is held, and does nothing with it."""


def receiving(*messages: dict[str, Any]) -> Any:
    """Returns what an application calls for the messages of a request."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    return receive


def body_part(body: bytes, more: bool = False) -> dict[str, Any]:
    """Returns a part of the body of a request."""
    return {"type": "http.request", "body": body, "more_body": more}


def requests_counted(context: Context) -> Counter[tuple[str, str]]:
    """Returns how many requests the metrics count, by route and status."""
    samples = [sample for family in context.metrics.registry.collect() for sample in family.samples]
    totals = [sample for sample in samples if sample.name == "tagwerk_requests_total"]
    return Counter({(total.labels["route"], total.labels["status"]): int(total.value) for total in totals})


def post(path: str, body: bytes = b'{"text": "fine"}', *headers: str, length: int | None = None) -> bytes:
    """Returns a request as it is sent."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def application(request: bytes) -> bytes:
    """Returns a request with the same meaning that is not plain, so that the application handles it."""
    head, end, body = request.partition(b"\r\n\r\n")
    return head.replace(b"application/json", b"application/json; charset=utf-8", 1) + end + body


GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"

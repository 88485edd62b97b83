"""A client's connection: makes exchanges of plain requests, and answers them without the application."""

import asyncio
import json
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from service.errors import InvalidInput
from service.http import problem
from service.http.connection.bounded_protocol import BoundedProtocol
from service.http.connection.uvicorn_private import STATUS_LINE
from service.http.context import TIMEOUT, Context, timeout_of
from service.http.handlers import HANDLERS, Exchange, Handler
from service.http.plain_requests import MOST_PLAIN_BYTES
from service.http.representation import CHUNK_BYTES, HEADERS, WORTH_BYTES, accepts_gzip, joined, zipped
from service.pipelines.formats import JSON, MEDIA_TYPES
from service.telemetry.metrics import UNMATCHED
from service.telemetry.request import RequestIds, Timing, ids_from
from service.text.interruptible import Interruptible

CONTENT_TYPE, PROBLEM = JSON.encode(), problem.MEDIA_TYPE.encode()
NOT_PLAIN = (b"transfer-encoding", b"content-encoding", b"upgrade")  # headers that no plain request has
CONTENT_TYPES = {  # the headers, as Starlette writes them: texts have their charset
    name: f"{name}; charset=utf-8".encode() if name.startswith("text/") else name.encode()
    for name in MEDIA_TYPES.values()
}
LAST = b"x-content-type-options: nosniff\r\n\r\n"
LAST_CLOSES = b"x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"


@lru_cache(2)
def encoded(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Encodes the default headers, which change once a second."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class Connection(BoundedProtocol):
    """Handles one client's connection.

    Attributes:
        gone: the connection is closed.
        task: the application's task for the request in progress, which is cancelled if the client goes.
    """

    def __init__(self, context: Context, **kwargs: Any) -> None:
        super().__init__(context, **kwargs)
        self._discarded_bytes = 0  # body bytes of a request that is already answered
        self._exchange: Exchange | None = None  # a plain request that is arriving or in progress
        self._keep_alive = True  # after the exchange
        self.gone = False
        self.task: asyncio.Task[Any] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone = True
        self._context.on_connection_lost()
        if (exchange := self._exchange) is not None:
            self._exchange = None
            self._context.plain.abandon(exchange)
            self._record(exchange, problem.CLIENT_GONE)
        if self.task is not None:
            self.task.cancel()
            self.task = None

    def begin(self, task: asyncio.Task[Any] | None) -> None:
        """Called by the application when it begins with a request; its task is cancelled if the client goes."""
        self.task = task
        if self.gone and task is not None:
            task.cancel()

    @property
    def in_exchange(self) -> bool:
        """True while a plain request is arriving or in progress."""
        return self._exchange is not None

    def shutdown(self) -> None:
        """Called by the server: closes the connection once nothing is in progress."""
        if self._exchange is None:
            super().shutdown()
        else:
            self._keep_alive = False

    # The parser's callbacks

    def on_headers_complete(self) -> None:
        self._discarded_bytes = 0
        if (made := HANDLERS.get(self.url)) is not None and self._begin_exchange(made):
            self._in_head, self.answered = False, True
            return
        super().on_headers_complete()

    def _make_scope(self) -> None:
        super()._make_scope()
        self.scope["state"]["connection"] = self

    def on_body(self, body: bytes) -> None:
        if self._exchange is not None:
            self._got_body = True
            self._exchange.body += body
            return
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > self._settings.max_body_bytes:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._exchange is None:
            super().on_message_complete()
            return
        self._arriving, self._unanswered = False, True
        self._context.plain.add(self._exchange)

    # Exchanges

    def _begin_exchange(self, made: type[Handler]) -> bool:
        """Makes an exchange of the request whose head has arrived, if it is plain; returns whether it is."""
        if self.expect_100_continue or self._head_bytes > problem.MAX_HEAD_BYTES:
            return False
        headers, parser, settings = dict(self.headers), self.parser, self._settings
        length, accept = headers.get(b"content-length", b""), headers.get(b"accept")
        if (
            parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or parser.should_upgrade()
            or headers.get(b"content-type") != CONTENT_TYPE
            or len(headers) < len(self.headers)
            or len(length) > 5
            or not length.isdigit()
            or int(length) > min(MOST_PLAIN_BYTES, settings.max_body_bytes)
            or not headers.keys().isdisjoint(NOT_PLAIN)
            or b"host" not in headers
            or accept not in made.media_types
            or (settings.cors_origins and b"origin" in headers)
        ):
            return False
        seconds = settings.request_timeout_seconds
        if TIMEOUT in headers:
            try:
                seconds = timeout_of(headers, settings)
            except InvalidInput:
                return False
        now = time.monotonic()
        self._exchange = Exchange(self, made, headers, b"", Timing(now), deadline=now + seconds)
        self._exchange.media_type = made.media_types[accept]
        self.cycle, self._body_left = None, int(length)  # type: ignore[assignment]
        self._keep_alive = parser.should_keep_alive()
        return True

    def respond(self, exchange: Exchange, content: list[bytes]) -> Interruptible[None]:
        """Answers an exchange with status 200, and a body in chunks."""
        headers: Mapping[str, str] = {}
        if sum(map(len, content)) >= WORTH_BYTES:
            headers = {"Vary": "Accept-Encoding"}
            if accepts_gzip(exchange.headers):
                headers, content = HEADERS, (yield from zipped(content))
        self._send(exchange, 200, headers, CONTENT_TYPES[exchange.media_type], content)

    def fail(self, exchange: Exchange, error: Exception) -> None:
        """Answers an exchange with the problem document of an error."""
        if not exchange.over:
            document = problem.report(error, self._context.metrics, exchange.timing)
            body = json.dumps(document).encode()
            self._send(exchange, document["status"], problem.error_headers(error), PROBLEM, [body])

    def redirect(self, exchange: Exchange) -> None:
        """Has the application handle an exchange, which is not plain after all."""
        exchange.over, self._exchange = True, None
        self._make_scope()
        super(BoundedProtocol, self).on_headers_complete()  # makes its cycle; the head has been checked
        self.cycle.keep_alive = self._keep_alive
        self.cycle.body, self.cycle.more_body = bytearray(exchange.body), False
        self.cycle.message_event.set()

    def _send(
        self, exchange: Exchange, status: int, headers: Mapping[str, str], content_type: bytes, body: list[bytes]
    ) -> None:
        if exchange.over:
            return
        exchange.over, self._exchange = True, None
        ids, context = ids_from(exchange.headers), self._context
        closes = not self._keep_alive or context.draining or context.surplus > 0
        context.surplus -= closes
        size = sum(map(len, body))
        origin = b""
        if self._settings.cors_origins:  # a page of another origin gets more headers, from the application
            if "Vary" in headers:
                headers = {**headers, "Vary": f"{headers['Vary']}, Origin"}
            else:
                origin = b"vary: Origin\r\n"
        last = b"%bx-request-id: %b\r\nserver-timing: %b\r\n%b" % (
            origin,
            ids.request.encode(),
            exchange.timing.header().encode(),
            LAST_CLOSES if closes else LAST,
        )
        head = self._head(status, headers, content_type, size, last)
        if size <= CHUNK_BYTES:
            self.transport.write(b"".join([head, *body]))
        else:
            for chunk in joined([head, *body]):
                self.transport.write(chunk)
        self._record(exchange, status, ids)
        if closes:
            self.transport.close()
        self.on_response_complete()

    def _head(self, status: int, headers: Mapping[str, str], content_type: bytes, size: int, last: bytes) -> bytes:
        """Returns the head of an answer; `last` are its last headers and the empty line."""
        return b"%b%b%bcontent-length: %d\r\ncontent-type: %b\r\n%b" % (
            STATUS_LINE[status],
            encoded(tuple(self.server_state.default_headers)),
            b"".join([f"{name.lower()}: {value}\r\n".encode() for name, value in headers.items()]) if headers else b"",
            size,
            content_type,
            last,
        )

    def _record(self, exchange: Exchange, status: int, ids: RequestIds | None = None) -> None:
        """Records an exchange that is over, and releases its key."""
        context = self._context
        context.bytes_in_progress -= exchange.in_progress
        if (leave := exchange.leave) is not None:
            exchange.leave = None
            leave()
        if exchange.key is not None:
            context.release(exchange.key)
        ids = ids or ids_from(exchange.headers)
        context.recorder.note(ids, exchange.headers, "POST", exchange.made.route, status, exchange.timing)

    # Answers without the application

    def _write_refusal(self, error: problem.Expected) -> None:
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.close()  # a second response would corrupt the first
            return
        given, document = dict(self.headers or ()), problem.report(error, self._context.metrics)
        status, body = document["status"], json.dumps(document).encode()
        last = b"x-request-id: %b\r\n%b" % (ids_from(given).request.encode(), LAST_CLOSES)
        self.transport.write(self._head(status, problem.error_headers(error), PROBLEM, len(body), last) + body)
        if (exchange := self._exchange) is not None:
            exchange.over, self._exchange = True, None
            self._record(exchange, status)
        elif self.cycle is not None and not self.cycle.response_complete:
            self.scope["state"]["refused"] = status  # its handler counts it
        else:
            self._context.metrics.requests.labels(UNMATCHED, str(status)).inc()
        self.transport.close()

"""A client's connection: uvicorn's, with bounds on what uvicorn leaves open.

A request that does not arrive in time, or headers without an end, would keep a connection and memory for ever.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api import problem, trace
from service.api.context import Context
from service.api.door import ROUTES
from service.api.timing import Timing
from service.errors import Overloaded
from service.metrics import UNMATCHED

PATHS = frozenset(route.encode() for route in ROUTES)
LAST_LOOK_SECONDS = 0.05
PIECE_BYTES = 65_536  # more is written at once, so that the transport can say when it is too much


class Gathering(asyncio.Transport):
    """A transport that writes at once what is said within one turn of the event loop: a head and its body."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._pieces: list[bytes] = []
        self._size = 0
        self._loop = asyncio.get_running_loop()
        # As they are: what is asked once a request should not go through one more layer.
        for name in ("get_extra_info", "is_closing", "pause_reading", "resume_reading", "set_protocol"):
            setattr(self, name, getattr(transport, name))

    def write(self, data: bytes) -> None:  # type: ignore[override]
        """Keeps what is to be written until the end of this turn."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > PIECE_BYTES:
            self._flush()

    def close(self) -> None:
        """Closes it when everything is written."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Closes it at once."""
        self._transport.abort()

    def _flush(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces:
            self._transport.write(b"".join(pieces))


class Connection(HttpToolsProtocol):
    """One connection. Where a request arrives in one piece, as most do, no timer runs."""

    def __init__(self, context: Context, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = context.settings
        self._metrics = context.metrics
        self._context = context
        # Who needs a key is refused after it was looked at; a browser elsewhere has to be told that it may read why.
        self._has_door = context.guard is None and not context.settings.cors_origins
        self._turned_away = False
        self._inside = False  # counted as one who is
        self._arriving = False  # a request has begun and is not whole
        self._in_head = False  # nor is its head
        self._head_bytes = 0  # of the head, beside those that came with its beginning
        self._chunk_bytes = 0
        self._patient = False
        self._timer: asyncio.TimerHandle | None = None
        self.gone = False
        self.when_gone: Callable[[], None] | None = None  # of the request that is being answered

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio."""
        super().connection_made(Gathering(transport))
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._unwatch()
        self._leave()
        super().connection_lost(exc)
        self.gone = True
        if self.when_gone is not None:
            self.when_gone()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._chunk_bytes = len(data)
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self._settings.max_header_bytes:
            self._refuse(431, "at most TAGWERK_MAX_HEADER_BYTES in all")
        elif self._arriving:
            self._watch()
        else:
            self._unwatch()

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._unset_keepalive_if_required()  # of one that was turned away just before
        self._arriving, self._in_head, self._head_bytes, self._patient = True, True, 0, False
        self._turned_away = False
        self.scope["state"]["connection"] = self

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        limit = self._settings.max_header_bytes
        if self._head_bytes + self._chunk_bytes > limit:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            self.scope["state"]["head_too_large"] = size > limit
        self._in_head = False
        door = self._context.door
        if self._has_door and door.shut and self._may_be_turned_away():
            self._turn_away()
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        if not self._turned_away:
            super().on_body(body)

    def on_response_complete(self) -> None:
        """Called by the cycle, and for who is turned away."""
        self._leave()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Called by the loop, which may be late: a request that has come meanwhile is read before this has an end."""
        self.timeout_keep_alive_task = self.loop.call_later(LAST_LOOK_SECONDS, super().timeout_keep_alive_handler)

    def _leave(self) -> None:
        if self._inside:
            self._inside = False
            self._context.door.inside -= 1

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._arriving = False
        if self._turned_away:
            self.on_response_complete()
            return
        if self.url in PATHS and not self._inside:
            self._inside = True
            self._context.door.inside += 1
        super().on_message_complete()

    def _may_be_turned_away(self) -> bool:
        idle = self.cycle is None or self.cycle.response_complete
        plain = self.url in PATHS and self.parser.get_method() == b"POST" and self.parser.should_keep_alive()
        return plain and idle and not self._context.draining

    def _turn_away(self) -> None:
        """Refuses a request before it has arrived, and lets the rest of it pass by."""
        self._turned_away = True
        timing, headers = Timing(time.monotonic()), dict(self.headers)
        ids = trace.ids_from(headers)
        door = self._context.door
        if door.answer is None:
            door.answer = answer_to(door.refusal)
        own = [*self.server_state.default_headers, (b"x-request-id", ids.request.encode())]
        head = b"".join(b"%b: %b\r\n" % header for header in own)
        self.transport.write(b"%b%bserver-timing: total;dur=0.0\r\n\r\n%b" % (door.answer[0], head, door.answer[1]))
        self._metrics.rejected.labels("overloaded").inc()
        self._context.ledger.note(ids, headers, "POST", self.url.decode(), 429, timing)

    def be_patient(self) -> None:
        """Lets the body of this request take its time: it is answered as it comes."""
        self._patient = True
        self._unwatch()

    def _watch(self) -> None:
        if self._timer is None and not self._patient:
            self._timer = self.loop.call_later(self._settings.receive_timeout_seconds, self._late)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        earlier = self._in_head and self.cycle is not None and not self.cycle.response_complete
        if earlier or self.flow.read_paused:  # the client waits for an answer, or to be read: it is not late
            self._watch()
            return
        answering = not self._in_head and self.cycle is not None and self.cycle.response_started
        if answering or self._turned_away or not self._arriving:
            self.transport.close()
        else:
            seconds = self._settings.receive_timeout_seconds
            self._refuse(408, f"it was not whole within {seconds:g} s (TAGWERK_RECEIVE_TIMEOUT_SECONDS)")

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for what is no HTTP."""
        self._refuse(400, "it breaks the rules of HTTP/1.1", problem.INVALID_HTTP)

    def _refuse(self, status: int, detail: str, kind: tuple[str, str] | None = None) -> None:
        """Answers in place of the application, and closes. `kind` is a slug and a title, by default the status's."""
        slug, title = kind or problem.HTTP[status]
        content = json.dumps(problem.make(status, slug, title, detail)).encode()
        head = f"HTTP/1.1 {status} {title}\r\nContent-Type: {problem.MEDIA_TYPE}\r\nContent-Length: {len(content)}"
        self.transport.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + content)
        self._count(status)
        self.transport.close()

    def _count(self, status: int) -> None:
        """Has the metrics count what the client gets; where a handler is at the request, it does so itself."""
        handled = not self._in_head and self.cycle is not None and not self.cycle.response_complete
        if not handled:
            self._metrics.requests.labels(UNMATCHED, str(status)).inc()
        elif not self.cycle.response_started:
            self.scope["state"]["refused"] = status


def answer_to(refusal: Overloaded) -> tuple[bytes, bytes]:
    """Returns the head of an answer, without its end, and the body."""
    body = json.dumps(problem.document(refusal)).encode()
    headers = {
        "content-type": problem.MEDIA_TYPE,
        "content-length": str(len(body)),
        "x-content-type-options": "nosniff",
        **problem.headers_of(refusal),
    }
    return b"HTTP/1.1 429 Too Many Requests\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()).encode(), body

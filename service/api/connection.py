"""A client's connection: uvicorn's, with bounds on what uvicorn leaves open.

A request that does not arrive in time, or headers without an end, would keep a connection and memory for ever.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api import problem
from service.api.context import Context
from service.metrics import UNMATCHED

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
        self._arriving, self._in_head, self._head_bytes, self._patient = True, True, 0, False
        self.scope["state"]["connection"] = self

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        limit = self._settings.max_header_bytes
        if self._head_bytes + self._chunk_bytes > limit:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            self.scope["state"]["head_too_large"] = size > limit
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._arriving = False
        super().on_message_complete()

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
        if answering or not self._arriving:
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

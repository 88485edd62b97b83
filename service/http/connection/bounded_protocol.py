"""uvicorn's protocol for a connection, with bounds on what a client may send and on the time that it may take.

uvicorn leaves open: how long a request may take to arrive, and a client to take its answer; the bytes of headers and
trailers; how many requests may come without waiting for answers (it parses all that it has read, and reads on with each
answer).
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.http import problem
from service.http.connection.coalescing import CoalescingTransport
from service.settings import Settings

LAST_LOOK_SECONDS = 0.05
PIECE_BYTES = 4096  # that are parsed at once, and so bound the requests that come without waiting for answers


BODY_HEADERS = (b"content-length", b"transfer-encoding")


class HoldingFlow(FlowControl):
    """Flow control that reads nothing while the connection holds what it has read and not parsed."""

    holding = False

    def resume_reading(self) -> None:
        """Reads on, unless the connection holds something."""
        if not self.holding:
            super().resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Where a request arrives in one piece, as most do, no timer runs."""

    flow: HoldingFlow
    transport: CoalescingTransport

    def __init__(self, settings: Settings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._arriving = False  # a request has begun and is not whole
        self._in_head = False  # nor is its head
        self._head_bytes = 0  # of the head, beside those that came with its beginning
        self._read_bytes = 0  # in the last read
        self._got_body = False  # in the piece that is parsed
        self._bodiless_bytes = 0  # in the pieces after the head that held nothing of the body, such as trailers
        self._held = b""  # what was read, and is parsed when requests before it are answered
        self._patient = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio."""
        super().connection_made(CoalescingTransport(transport, self._settings.receive_timeout_seconds))
        self.flow = HoldingFlow(self.transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._unwatch()
        self._held = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._unset_keepalive_if_required()
        if self._held or self._must_wait():
            self._hold(self._held + data)
        else:
            self._parse(data)

    def pause_writing(self) -> None:
        """Called by asyncio: the client does not take its answers."""
        super().pause_writing()
        self.transport.watch_sending()

    def resume_writing(self) -> None:
        """Called by asyncio."""
        super().resume_writing()
        self.loop.call_soon(self._parse_held)

    def _must_wait(self) -> bool:
        """Says whether the next request has to wait: another does already, or the client does not take its answers."""
        return bool(self.pipeline) or (self.flow.write_paused and (self.cycle is None or self.cycle.response_complete))

    def _hold(self, data: bytes) -> None:
        self._held = data
        self.flow.pause_reading()
        self.flow.holding = True

    def _parse_held(self) -> None:
        """Goes on with what was held, then with reading."""
        if not self._held or self.transport.is_closing() or self._must_wait():
            return
        held, self._held, self.flow.holding = self._held, b"", False
        self._parse(held)
        self.flow.resume_reading()

    def _parse(self, data: bytes) -> None:
        """Parses piece by piece, until a request has to wait; the rest is held."""
        self._read_bytes = len(data)
        if self._in_head:
            self._head_bytes += len(data)
        start = 0
        while start < len(data):
            start += self._parse_piece(data[start : start + PIECE_BYTES])
            if self.transport.is_closing():
                return
            if start < len(data) and self._must_wait():
                self._hold(data[start:])
                break
        if self._in_head and self._head_bytes > self._settings.max_header_bytes:
            self._refuse(431, "at most TAGWERK_MAX_HEADER_BYTES in all")
        elif self._arriving:
            self._watch()
        else:
            self._unwatch()

    def _parse_piece(self, piece: bytes) -> int:
        """Returns how many bytes were parsed: all, but up to the end of a request that asks for another protocol."""
        self._got_body = False
        in_body = self._arriving and not self._in_head
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:  # it is answered as any other, and HTTP goes on behind it
            return int(upgrade.args[0])
        except httptools.HttpParserError:
            if not self.transport.is_closing():
                self._refuse(400, "it breaks the rules of HTTP/1.1", problem.INVALID_HTTP)
            return len(piece)
        self._bodiless_bytes = self._bodiless_bytes + len(piece) if in_body and not self._got_body else 0
        if self._arriving and self._bodiless_bytes > self._settings.max_header_bytes:
            self._refuse(431, "at most TAGWERK_MAX_HEADER_BYTES of trailers")
        return len(piece)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._arriving, self._in_head, self._head_bytes, self._patient = True, True, 0, False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, for trailers, too: they are dropped. As uvicorn's, without a call more for each."""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        limit = self._settings.max_header_bytes
        if self._head_bytes + self._read_bytes > limit:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            self.scope["state"]["head_too_large"] = size > limit
        self._in_head = False
        if self.parser.should_upgrade() and any(name in BODY_HEADERS for name, _ in self.headers):
            detail = "the request asks for another protocol, so its body cannot be told from that: leave out `Upgrade`"
            self._refuse(400, detail, problem.INVALID_HTTP)
            raise httptools.HttpParserError("a body that might be another request")  # so that it is not parsed as one
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._got_body = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._arriving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Called by the cycle."""
        super().on_response_complete()  # begins with the next request that waits
        if self._held:
            self.loop.call_soon(self._parse_held)

    def timeout_keep_alive_handler(self) -> None:
        """Called by the loop, which may be late: a request that has come meanwhile is read before this has an end."""
        self.timeout_keep_alive_task = self.loop.call_later(LAST_LOOK_SECONDS, super().timeout_keep_alive_handler)

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
        elif self._arriving and not self._is_answered():
            seconds = self._settings.receive_timeout_seconds
            self._refuse(408, f"it was not whole within {seconds:g} s (TAGWERK_RECEIVE_TIMEOUT_SECONDS)")
        else:
            self.transport.close()

    def _is_answered(self) -> bool:
        """Says whether the request that arrives has an answer already, at least its beginning."""
        return not self._in_head and self.cycle is not None and self.cycle.response_started

    def _refuse(self, status: int, detail: str, kind: tuple[str, str] | None = None) -> None:
        """Answers in place of the application, and closes. `kind` is a slug and a title, by default the status's."""
        raise NotImplementedError

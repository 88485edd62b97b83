"""Extends uvicorn's HTTP protocol with limits on what a client may send and how long it may take.

uvicorn does not limit: the time for a request to arrive, and for a client to read its response; the bytes of headers
and trailers; the number of pipelined requests (it parses all that it has read, and reads on with each response); the
number of requests that begin in an iteration of the event loop; what all clients together leave unread.
"""

import asyncio
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.http import problem
from service.http.connection.coalescing import CoalescingTransport
from service.http.connection.http_rules import fault_of, in_http_1_0
from service.http.context import Context

CLOSE_DELAY_SECONDS = 0.05
PROBE_SECONDS = 0.1  # between interim responses to a client that sends nothing more
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
PIECE_BYTES = 4096  # parsed at once
MOST_PIECES = 128  # parsed in an iteration of the event loop
HEAD_END = b"\r\n\r\n"


BODY_HEADERS = (b"content-length", b"transfer-encoding")


class HoldingFlow(FlowControl):
    """Flow control that keeps reading paused while the connection holds unparsed data.

    Answers do not wait for their client: they are written at once, and count as held until they are read. So a request
    that is done takes no other memory, and a client that does not read keeps nothing waiting.
    """

    holding = False

    async def drain(self) -> None:
        """Does not wait; called by uvicorn before each write."""

    async def drained(self) -> None:
        """Waits until the client has read most of what is written."""
        await super().drain()

    def resume_reading(self) -> None:
        """Resumes reading, unless the connection holds unparsed data."""
        if not self.holding:
            super().resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """A client's connection with limits. A request that arrives in one read, as most do, needs no timer."""

    flow: HoldingFlow
    transport: CoalescingTransport

    def __init__(self, context: Context, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._context = context
        self._settings = context.settings
        self._received = 0  # bytes, of all requests
        self._requests_bytes = 0  # held by the handlers of requests
        self._dropped = False
        self._arriving = False  # a request has begun and is incomplete
        self._in_head = False  # its head is incomplete too
        self._head_bytes = 0  # of the head, without the read in which it began
        self._read_bytes = 0  # in the last read
        self._got_body = False  # in the piece being parsed
        self._bodiless_bytes = 0  # of the pieces after the head without body data, such as trailers
        self._body: list[bytes] = []  # parsed from the last read, not passed on yet
        self._held = b""  # unparsed data, parsed once earlier requests are answered
        self._timeout_disabled = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle_since = self.loop.time()  # by the event loop's clock
        self._idle_timer: asyncio.TimerHandle | None = None  # one for all requests, which costs less than one for each
        self._half_closed = False  # the client sends nothing more
        self._probe_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio."""
        memory = self._context.client_memory
        super().connection_made(CoalescingTransport(transport, self._settings.receive_timeout_seconds, memory.grow))
        self.flow = HoldingFlow(self.transport)
        memory.clients[self] = None
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio. Stops all timers and breaks all reference cycles, so that nothing of it stays."""
        super().connection_lost(exc)
        self._context.client_memory.clients.pop(self, None)
        self._arriving = self._in_head = False
        self._stop_timer()
        for timer in (self._idle_timer, self._probe_timer):
            if timer is not None:
                timer.cancel()
        self.transport.stop()
        self.pipeline.clear()
        self._held, self._body, self.headers = b"", [], []
        self.cycle = self.scope = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += len(data)
        if self._held or self._must_wait():
            self._hold(self._held + data)
        else:
            self._parse(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Called by asyncio when the client sends nothing more: it waits for its answers, or has gone.

        TCP does not tell which. So, until an answer begins, interim responses are sent: a client that has gone resets
        the connection at the first, which the second finds.
        """
        waits = self._in_progress() and not self._arriving and self.parser.get_http_version() == "1.1"
        if not (waits or self._held):
            self.transport.close()  # once everything is sent; the loop would drop what is not flushed
        elif not self._half_closed:  # this is called again where reading was resumed
            self._half_closed = True
            self._probe_timer = self.loop.call_later(PROBE_SECONDS, self._probe)
        return True

    def _probe(self) -> None:
        if self._in_progress() and not self._answer_has_begun() and not self.transport.is_closing():
            self.transport.send(INTERIM)
            self._probe_timer = self.loop.call_later(PROBE_SECONDS, self._probe)

    def _answer_has_begun(self) -> bool:
        """Returns whether the answer to the request in progress has begun."""
        return self.cycle is not None and self.cycle.response_started

    def pause_writing(self) -> None:
        """Called by asyncio when the write buffer is full."""
        super().pause_writing()
        self.transport.pause()

    def resume_writing(self) -> None:
        """Called by asyncio."""
        if self.transport.resume():
            super().resume_writing()
            self.loop.call_soon(self._parse_held)

    def _must_wait(self) -> bool:
        """Returns whether the next request must wait: one is pipelined already, or the write buffer is full."""
        return bool(self.pipeline) or (self.flow.write_paused and (self.cycle is None or self.cycle.response_complete))

    def _hold(self, data: bytes) -> None:
        self._held = data
        self.flow.pause_reading()
        self.flow.holding = True
        self._context.client_memory.grow(len(data))

    def _parse_held(self) -> None:
        """Parses the held data, then resumes reading."""
        if not self._held or self.transport.is_closing() or self._must_wait():
            return
        held, self._held, self.flow.holding = self._held, b"", False
        self._parse(held)
        self.flow.resume_reading()

    def _parse(self, data: bytes) -> None:
        """Parses piece by piece, until a request must wait or the iteration has done enough; holds the rest.

        A piece ends with a blank line, where a request may end, so that no other is parsed with it.
        """
        self._read_bytes = len(data)
        if self._in_head:
            self._head_bytes += len(data)
        start = pieces = 0
        while start < len(data):
            blank = data.find(HEAD_END, start, start + PIECE_BYTES)
            start += self._parse_piece(data[start : start + PIECE_BYTES if blank < 0 else blank + len(HEAD_END)])
            if self.transport.is_closing():
                return
            pieces += 1
            if start < len(data) and (pieces == MOST_PIECES or self._must_wait()):
                self._hold(data[start:])
                self.loop.call_soon(self._parse_held)
                break
        if self._body:
            self._pass_body_on()
        if self._in_head and self._head_bytes > problem.MAX_HEAD_BYTES:
            self._refuse(431, f"at most {problem.MAX_HEAD_BYTES} bytes in all")
        elif self._arriving:
            self._start_timer()
        elif self._timer is not None:
            self._stop_timer()

    def _parse_piece(self, piece: bytes) -> int:
        """Returns the number of parsed bytes: all, or up to the end of a request with an Upgrade header."""
        self._got_body = False
        in_body = self._arriving and not self._in_head
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:  # answered like any other request; HTTP continues after it
            return int(upgrade.args[0])
        except httptools.HttpParserError:
            if not self.transport.is_closing():
                self._refuse(400, "it is not valid HTTP/1.1", problem.INVALID_HTTP)
            return len(piece)
        self._bodiless_bytes = self._bodiless_bytes + len(piece) if in_body and not self._got_body else 0
        if self._arriving and self._bodiless_bytes > problem.MAX_HEAD_BYTES:
            self._refuse(431, f"at most {problem.MAX_HEAD_BYTES} bytes of trailers")
        return len(piece)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._arriving, self._in_head, self._head_bytes, self._timeout_disabled = True, True, 0, False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, also for trailers, which are dropped. Inlines uvicorn's, since it is called often."""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._make_scope()
        if self._head_bytes + self._read_bytes > problem.MAX_HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            self.scope["state"]["head_too_large"] = size > problem.MAX_HEAD_BYTES
        self._in_head = False
        if self.parser.should_upgrade() and any(name in BODY_HEADERS for name, _ in self.headers):
            detail = "a request with a body cannot upgrade to another protocol: leave out `Upgrade`"
            self._refuse(400, detail, problem.INVALID_HTTP)
            raise httptools.HttpParserError("upgrade with a body")  # keeps the body from being parsed as a request
        if (fault := fault_of(self.headers, self.parser.get_http_version())) is not None:
            status, detail = fault
            self._refuse(status, detail, problem.INVALID_HTTP if status == 400 else None)
            raise httptools.HttpParserError(detail)
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        app = partial(in_http_1_0, app) if cycle.scope["http_version"] != "1.1" else app
        self._context.task_starts.add(partial(super()._start_asgi_task, cycle, app))

    def _make_scope(self) -> None:
        """Makes the scope of a request whose head has arrived. uvicorn makes it when a request begins."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers += headers

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._got_body = True
        self._body.append(body)

    def _pass_body_on(self) -> None:
        """Passes on what one read had of a body. Piece by piece, each would be copied with all pieces before it."""
        body, self._body = b"".join(self._body), []
        super().on_body(body)
        self._context.client_memory.grow(len(body))

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._arriving = False
        if self._body:
            self._pass_body_on()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Called when a request has been answered: starts the next pipelined one, or the time of the keep-alive."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._half_closed and not self._held:
            self.transport.close()
        else:
            self._idle_since = self.loop.time()
            if self._idle_timer is None:
                self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._check_idle)
        if self._held:
            self.loop.call_soon(self._parse_held)

    # What is held for the client

    def hold(self, size: int) -> None:
        """Adds to the bytes that the handler of a request holds, or takes from them."""
        self._requests_bytes += size
        if size > 0:
            self._context.client_memory.grow(size)

    def held_bytes(self) -> int:
        """See `Client`."""
        if self._dropped:
            return 0
        cycle = self.cycle
        body = len(cycle.body) if isinstance(cycle, RequestResponseCycle) else 0
        return self.transport.unsent_bytes() + len(self._held) + body + self._requests_bytes

    def moved_bytes(self) -> int:
        """See `Client`."""
        return self._received + self.transport.sent_bytes()

    def waits(self) -> bool:
        """See `Client`."""
        return self._in_progress() and not self._arriving and not self.transport.unsent_bytes()

    def drop(self, most: int) -> None:
        """See `Client`. A request that arrives is answered."""
        if self._arriving and not self._is_answered():
            detail = (
                f"requests that arrive and answers that are not read have more than {most} bytes together;"
                " this connection was the slowest: send it again later, or faster"
            )
            self._refuse(429, detail, problem.OVERLOADED)
        else:
            self.transport.abort()
        self._dropped = True

    def _unset_keepalive_if_required(self) -> None:
        """Does nothing: the timer looks whether the connection is idle when it fires."""

    def _check_idle(self) -> None:
        """Called by the event loop, perhaps late: delays the close, so that an arrived request is read first."""
        left = self.timeout_keep_alive - (self.loop.time() - self._idle_since)
        if self._is_busy():
            left = self.timeout_keep_alive
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._check_idle)
        else:
            self._idle_timer = self.loop.call_later(CLOSE_DELAY_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self._is_busy():
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._check_idle)
        else:
            self.transport.close()

    def idle_since(self) -> float | None:
        """Returns since when no request is in progress and no answer unread, by the event loop's clock."""
        if self._held or self._in_progress() or self.transport.unsent_bytes():
            return None
        return self._idle_since

    def _is_busy(self) -> bool:
        """Returns whether a request is arriving or in progress."""
        return self._arriving or bool(self._held) or self._in_progress()

    def disable_receive_timeout(self) -> None:
        """Disables the receive timeout for the body of this request, whose handler streams it."""
        self._timeout_disabled = True
        self._stop_timer()

    def enable_receive_timeout(self) -> None:
        """Enables the receive timeout again, for what is left of the body of a request that is answered."""
        self._timeout_disabled = False
        if self._arriving:
            self._start_timer()

    def _start_timer(self) -> None:
        if self._timer is None and not self._timeout_disabled:
            self._timer = self.loop.call_later(self._settings.receive_timeout_seconds, self._expired)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        """Called by the event loop, perhaps late: waits once more, so that a request that has arrived is read first."""
        self._timer = self.loop.call_later(CLOSE_DELAY_SECONDS, self._late)

    def _late(self) -> None:
        self._timer = None
        if (
            self._in_head and self._in_progress()
        ) or self.flow.read_paused:  # the client waits for this side, so it is not late
            self._start_timer()
        elif self._arriving and not self._is_answered():
            seconds = self._settings.receive_timeout_seconds
            self._refuse(408, f"the request was not complete within {seconds:g} s (TAGWERK_RECEIVE_TIMEOUT_SECONDS)")
        else:
            self.transport.close()

    def _in_progress(self) -> bool:
        """Returns whether a request that has arrived is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _is_answered(self) -> bool:
        """Returns whether the response to the arriving request has begun."""
        return not self._in_head and self.cycle is not None and self.cycle.response_started

    def _refuse(self, status: int, detail: str, kind: tuple[str, str] | None = None) -> None:
        """Sends an error response without the application, and closes. `kind`: slug and title, if not the status's."""
        raise NotImplementedError

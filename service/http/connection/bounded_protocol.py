"""Extends uvicorn's HTTP protocol with limits on what a client may send and how long it may take.

uvicorn does not limit: the time for a request to arrive, and for a client to read its response; the bytes of headers
and trailers; what all clients together leave unread. It parses all pipelined requests at once; here each is parsed when
those before it are answered, so that however many a client sends, others wait for one of them at most. Of the first
requests of many new connections only some are parsed in an iteration of the event loop.
"""

import asyncio
import math
from functools import partial
from typing import Any

import httptools
from starlette.exceptions import HTTPException

from service.errors import NotReceived, Overloaded
from service.http import problem
from service.http.connection.http_rules import fault_of, in_http_1_0
from service.http.connection.transport import CountedTransport, Flow
from service.http.connection.uvicorn_private import HttpToolsProtocol, RequestResponseCycle
from service.http.context import Context

CLOSE_DELAY_SECONDS = 0.05  # time for an event loop that was late to read what has arrived
LEAST_BYTES_PER_SECOND = 1024  # that a client reads while data is unsent
MOST_CHUNKS = 64  # that are parsed at once; of a body in chunked coding, one may have four bytes
EMPTY_LINE = b"\r\n\r\n"
BODY_HEADERS = (b"content-length", b"transfer-encoding")
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """A client's connection with limits. One timer watches all of its times.

    Attributes:
        answered: the head of a request has arrived.
        streams_body: the handler of the request in progress limits the time of its body itself.
    """

    flow: Flow
    transport: CountedTransport

    def __init__(self, context: Context, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.answered = self.streams_body = False
        self._context = context
        self._settings = context.settings
        self._received = 0  # bytes, of all requests
        self._requests_bytes = 0  # held by the handlers of requests
        self._ahead = b""  # what has arrived, where some of it is not parsed
        self._parsed = 0  # bytes of it
        self._unanswered = False  # a whole request has arrived, and is not answered
        self._ended: float | None = None  # when the client closed its side, waiting for its answer
        self._arriving = False  # a request has begun and is incomplete
        self._in_head = False  # its head is incomplete too
        self._head_bytes = 0
        self._body_left = 0  # bytes that are still to arrive, of a body of known length
        self._tail = b""  # the last bytes that are parsed, where an empty line may have begun
        self._got_body = False  # in this chunk
        self._bodiless_bytes = 0  # in chunks after the head that had no body data, such as trailers
        self._since = self.loop.time()  # when the arriving request began; without one, when the connection became idle
        self._unread = False  # the client left answers unread at the last check
        self._reads_since = self._since  # since when the bytes that the client reads are counted
        self._sent_before = 0  # bytes
        self._timer: asyncio.TimerHandle | None = None

    # Called by asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(CountedTransport(transport))
        self.flow = Flow(transport)
        self._context.client_memory.clients[self] = None
        self._check_times()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the timer and breaks all reference cycles, so that nothing of it stays."""
        super().connection_lost(exc)
        self._context.client_memory.clients.pop(self, None)
        self._arriving = self._in_head = False
        if self._timer is not None:
            self._timer.cancel()
        self.headers, self._ahead = [], b""
        self.cycle = self.scope = None  # type: ignore[assignment]

    def pause_writing(self) -> None:
        """Stops reading requests, since the write buffer is full."""
        super().pause_writing()
        self.flow.pause_reading()
        self._context.client_memory.grow(self.transport.unsent_bytes())
        self._unread, self._reads_since, self._sent_before = True, self.loop.time(), self.transport.sent_bytes()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flow.resume_reading()
        self.loop.call_soon(self._parse)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        self._ahead, self._parsed = self._ahead[self._parsed :] + data if self._ahead else data, 0
        if self.answered:
            self._parse()
        elif not self._context.first_requests.add(self._parse):
            self.flow.ahead = True
            self.flow.pause_reading()
        if self._ahead:
            self._context.client_memory.grow(len(data))

    # What arrives

    def _parse(self) -> None:
        """Parses one request of what has arrived, or its beginning. What is behind it waits until it is answered.

        The parser cannot be told to stop. So it is given a chunk at a time, up to where a request may end: the end of a
        body of known length, otherwise an empty line.
        """
        data, place, chunks = self._ahead, self._parsed, 0
        self._ahead, self._parsed, size = b"", 0, len(data)
        while place < size and not (self._unanswered or self.flow.write_paused or self.transport.is_closing()):
            if chunks == MOST_CHUNKS:
                self.loop.call_soon(self._parse)
                break
            chunks += 1
            if self._body_left:
                end = min(place + self._body_left, size)
                self._body_left -= end - place
            elif not self._tail and (found := data.find(EMPTY_LINE, place)) >= 0:  # most heads
                end = found + len(EMPTY_LINE)
            else:
                end = self._end_of_lines(data, place)
            in_body, self._got_body = self._arriving and not self._in_head, False
            if not in_body:
                self._head_bytes = end - place + (self._head_bytes if self._in_head else 0)
            if end == size and self.flow.ahead:
                self.flow.ahead = False
                self.flow.resume_reading()
            try:
                self.parser.feed_data(data[place:end])
            except httptools.HttpParserUpgrade:  # answered like any other request; HTTP continues after it
                pass
            except httptools.HttpParserError:
                if not self.transport.is_closing():  # otherwise it is refused already
                    self._write_refusal(HTTPException(400, "it is not valid HTTP/1.1"))
                break
            self._bodiless_bytes = self._bodiless_bytes + end - place if in_body and not self._got_body else 0
            if self._in_head and self._head_bytes > problem.MAX_HEAD_BYTES:
                self._write_refusal(problem.LARGE_HEAD)
            elif self._arriving and self._bodiless_bytes > problem.MAX_HEAD_BYTES:
                self._write_refusal(HTTPException(431, f"at most {problem.MAX_HEAD_BYTES} bytes of trailers"))
            place = end
        if place < size and not self.transport.is_closing():
            self._ahead, self._parsed = (data, place) if place < size / 2 else (data[place:], 0)
            self.flow.ahead = True
            self.flow.pause_reading()

    def _end_of_lines(self, data: bytes, place: int) -> int:
        """Returns where the next empty line ends, which may have begun before, or where the data ends."""
        tail, self._tail = self._tail, b""
        if tail and (found := (tail + data[place : place + 3]).find(EMPTY_LINE)) >= 0:
            return place + found + len(EMPTY_LINE) - len(tail)
        if (found := data.find(EMPTY_LINE, place)) >= 0:
            return found + len(EMPTY_LINE)
        self._tail = (tail + data[max(place, len(data) - 3) :])[-3:]
        return len(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client closes its side: it waits for its answer, or has gone.

        TCP does not tell which. So it is sent interim responses until its answer begins: a client that has gone resets
        the connection at the first, which the second finds.
        """
        if not self._unanswered:
            self.transport.close()
        elif self._ended is None and self._timer is not None:  # called again where reading was paused
            self._ended = self.loop.time()
            self._timer.cancel()
            self._check_times()
        return True

    # Called by the parser

    def on_message_begin(self) -> None:
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._arriving, self._in_head, self.streams_body = True, True, False
        self._since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Drops trailers. Inlines uvicorn's, since it is called often."""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if (fault := self._fault_of_head()) is not None:
            self._write_refusal(fault)
            raise httptools.HttpParserError  # keeps what follows from being parsed as a request
        self._make_scope()
        self._in_head, self.answered = False, True
        self._body_left = int(dict(self.headers).get(b"content-length", 0))
        super().on_headers_complete()

    def _fault_of_head(self) -> problem.Expected | None:
        """Returns the error of a request by its head."""
        if self._head_bytes > problem.MAX_HEAD_BYTES:
            return problem.LARGE_HEAD
        if self.parser.should_upgrade() and any(name in BODY_HEADERS for name, _ in self.headers):
            return HTTPException(400, "a request with a body cannot upgrade to another protocol: leave out `Upgrade`")
        return fault_of(self.headers, self.parser.get_http_version())

    def _make_scope(self) -> None:
        """Makes the scope of a request whose head has arrived. uvicorn makes it when a request begins."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers += headers

    def on_body(self, body: bytes) -> None:
        self._got_body = True
        super().on_body(body)
        self._context.client_memory.grow(len(body))

    def on_message_complete(self) -> None:
        """Reads on after a large body, to see whether the client goes."""
        self._arriving = False
        super().on_message_complete()
        self._unanswered = not self.cycle.response_complete
        self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        app = app if cycle.scope["http_version"] == "1.1" else partial(in_http_1_0, app)
        self._context.starts.add(partial(super()._start_asgi_task, cycle, app))

    def on_response_complete(self) -> None:
        """Called when a request has been answered: the next pipelined one has its turn, or the keep-alive begins."""
        self._unanswered = False
        if self.transport.is_closing():
            return
        self._since, self.streams_body = self.loop.time(), False
        if self._ahead:
            self.loop.call_soon(self._parse)
        elif self._ended is not None:
            self.transport.close()
        if self.flow.read_paused:
            self.flow.resume_reading()

    # What is held for the client: see `ClientMemory`

    def hold(self, size: int) -> None:
        """Adds to the bytes that the handler of a request holds, or takes from them."""
        self._requests_bytes += size
        if size > 0:
            self._context.client_memory.grow(size)

    def held_bytes(self) -> int:
        """Returns how many bytes are held for it: received and not worked off, or written and not sent."""
        body = len(self.cycle.body) if self.cycle is not None else 0
        return self.transport.unsent_bytes() + len(self._ahead) + body + self._requests_bytes

    def moved_bytes(self) -> int:
        """Returns how many bytes have been received from it and sent to it, since it connected."""
        return self._received + self.transport.sent_bytes()

    def waits(self) -> bool:
        """Returns whether the client waits for the service: its request has arrived, and no answer is unread."""
        return self._unanswered and not self.transport.unsent_bytes()

    def drop(self, most: int) -> None:
        """Closes it, since all clients together hold more than `most` bytes. A request that arrives is answered."""
        if self._arriving and not self._is_answered():
            detail = (
                f"requests that arrive and answers that are not read have more than {most} bytes together;"
                " this connection was the slowest: send it again later, or faster"
            )
            self._write_refusal(Overloaded(detail, 1.0))
        else:
            self.transport.abort()

    # Times

    def idle_since(self) -> float | None:
        """Returns since when no request is in progress and no answer unread, by the event loop's clock."""
        begun = self.cycle is not None and not self.cycle.response_complete  # its body may still be arriving
        return None if self._unanswered or begun or self._ahead or self.transport.unsent_bytes() else self._since

    def _check_times(self, was_due: bool = False) -> None:
        """Closes the connection where the client is too slow; otherwise sets the timer for the next check.

        What is due is done at a second check, after the event loop has read what arrived while it was late.
        """
        now, seconds = self.loop.time(), self._settings.receive_timeout_seconds
        self._check_reading(now, seconds)
        due = self._due()
        if now >= due and was_due:
            self._give_up()
        delay = CLOSE_DELAY_SECONDS if now >= due else min(due - now, seconds, self.timeout_keep_alive)
        if self._ended is not None and self._may_send_interim():
            self.transport.write(INTERIM)
            delay = CLOSE_DELAY_SECONDS + now - self._ended
        self._timer = self.loop.call_later(delay, self._check_times, now >= due and not was_due)

    def _check_reading(self, now: float, seconds: float) -> None:
        """Closes the connection if the client reads too slowly while the write buffer is full, or the end is unsent."""
        unread = self.flow.write_paused or self.transport.is_closing()
        if unread and self._unread and now - self._reads_since < seconds:
            return
        sent = self.transport.sent_bytes()
        if unread and self._unread and sent - self._sent_before < LEAST_BYTES_PER_SECOND * seconds:
            self.transport.abort()
        self._unread, self._reads_since, self._sent_before = unread, now, sent

    def _due(self) -> float:
        """Returns when the connection is to be closed, by the event loop's clock; never while the client waits."""
        if self._unanswered or self.transport.is_closing() or self.streams_body or self.flow.read_paused:
            return math.inf
        arrives = self._arriving or not self.answered
        return self._since + (self._settings.receive_timeout_seconds if arrives else self.timeout_keep_alive)

    def _give_up(self) -> None:
        if self._arriving and not self._is_answered():
            self._write_refusal(NotReceived(self._settings.receive_timeout_seconds))
        else:
            self.transport.close()

    def _may_send_interim(self) -> bool:
        """Returns whether the next bytes to send begin an answer, in HTTP/1.1."""
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        return self._unanswered and not begun and self.parser.get_http_version() == "1.1"

    def _is_answered(self) -> bool:
        """Returns whether the response to the arriving request has begun."""
        return not self._in_head and self.cycle is not None and self.cycle.response_started

    def _write_refusal(self, error: problem.Expected) -> None:
        """Answers with an error, without the application, and closes."""
        raise NotImplementedError

"""A client's connection, and the responses that it sends without the application.

A request that load shedding refuses is answered as soon as its head has arrived, before its body is read.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.engine.protocol import ANONYMOUS
from service.errors import TagwerkError
from service.http import problem
from service.http.connection.bounded_protocol import BoundedProtocol
from service.http.connection.raw_answers import encoded, raw_answer, raw_refusal
from service.http.context import Context
from service.http.cors import cors_headers
from service.http.load_shedding import QUEUED_ROUTES, engine_route
from service.security.keys import client_of
from service.telemetry import request_ids
from service.telemetry.metrics import UNMATCHED
from service.telemetry.timing import Timing


class Refused(NamedTuple):
    """A request that is refused unread, and the reason."""

    cycle: RequestResponseCycle
    error: TagwerkError
    route: str
    headers: dict[bytes, bytes]
    timing: Timing


class Connection(BoundedProtocol):
    """Handles one client's connection.

    Attributes:
        gone: the connection is closed.
        when_gone: called when that happens; set by the request being answered.
    """

    def __init__(self, context: Context, **kwargs: Any) -> None:
        super().__init__(context.settings, **kwargs)
        self._context = context
        self._refused: Refused | None = None  # a refusal that is still to be sent
        self._discarded_bytes = 0  # body bytes of a request that is already answered
        self._closing = False  # close once the request's body has arrived
        self.gone = False
        self.when_gone: Callable[[], None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        for cycle, _ in self.pipeline:  # the others end with their tasks, see `RequestContextMiddleware`
            _end_admission(cycle)
        self.pipeline.clear()
        super().connection_lost(exc)
        self.gone = True
        if self.when_gone is not None:
            self.when_gone()

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._discarded_bytes = 0
        self.scope["state"]["connection"] = self

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        super().on_headers_complete()
        is_refused = self._refused is not None and self._refused.cycle is self.cycle
        if self.scope["path"] in QUEUED_ROUTES and not is_refused:
            client, _ = self._client(self.scope["path"], dict(self.scope["headers"]))
            self.scope["state"]["admission"] = self._context.shedder.admission(client)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        super().on_body(body)
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > self._settings.max_body_bytes:
                self.transport.close()

    def on_message_complete(self) -> None:
        """Called by the parser."""
        super().on_message_complete()
        if (admission := self.scope["state"].get("admission")) is not None:
            admission.begin()
        if self._closing:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        """Starts the application on a request whose head has arrived, or refuses it."""
        refused = self._refusal_of(cycle) if self._context.shedder.active else None
        if refused is None:
            super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]
        else:
            self._refused = refused
            self._context.refusals.add(self._send_refusal)

    def _refusal_of(self, cycle: RequestResponseCycle) -> Refused | None:
        """Returns the refusal if the load shedder refuses the request. An invalid key takes precedence."""
        scope = cycle.scope
        route = engine_route(scope["path"]) if scope["method"] == "POST" else None
        if route is None or scope["state"].get("head_too_large"):
            return None
        headers = dict(scope["headers"])
        client, unauthorized = self._client(scope["path"], headers)
        error = self._context.shedder.refusal(route, client)
        if error is None:
            return None
        return Refused(cycle, unauthorized or error, route, headers, Timing(time.monotonic()))

    def _client(self, path: str, headers: dict[bytes, bytes]) -> tuple[int, TagwerkError | None]:
        """Returns the client of a request; ANONYMOUS and the error if its key is not valid."""
        if (authenticator := self._context.authenticator) is None:
            return ANONYMOUS, None
        try:
            return client_of(authenticator.authenticate(path, headers)), None
        except problem.REFUSALS as unauthorized:
            return ANONYMOUS, unauthorized.with_traceback(None)

    def _send_refusal(self) -> None:
        """Sends the pending refusal, then continues with the next request; drops the rest of the body."""
        refused, self._refused = self._refused, None
        assert refused is not None  # noqa: S101 (set together with the scheduling of this call)
        cycle, ids = refused.cycle, request_ids.ids_from(refused.headers)
        waits = cycle.waiting_for_100_continue  # the client will not send its body
        last = not cycle.keep_alive or waits or self._context.draining
        if not self.transport.is_closing():
            head, rest = raw_refusal(refused.error, cycle.scope["path"])
            timing = (b"server-timing", refused.timing.header().encode())
            self.transport.write(head + encoded([timing, *self._own_headers(ids, refused.headers, last)]) + rest)
            self.transport.flush()
        cycle.response_started = cycle.response_complete = True
        _end_admission(cycle)
        self._context.shedder.count(refused.error)
        status = cycle.scope["state"].get("refused", problem.status_of(refused.error))
        self._context.recorder.note(ids, refused.headers, "POST", refused.route, status, refused.timing)
        self._closing = last and cycle.more_body and not waits
        if self._closing:
            self.flow.resume_reading()
        elif last:
            self.transport.close()
        else:
            self.on_response_complete()

    def _refuse(self, status: int, detail: str, kind: tuple[str, str] | None = None) -> None:
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.close()  # a second response would corrupt the first
            return
        slug, title = kind or problem.HTTP[status]
        headers = dict(self.headers or ())
        own = self._own_headers(request_ids.ids_from(headers), headers, last=True)
        self.transport.write(b"".join(raw_answer(problem.make(status, slug, title, detail), own)))
        self._count(status)
        self.transport.close()

    def _own_headers(
        self, ids: request_ids.RequestIds, headers: dict[bytes, bytes], last: bool
    ) -> list[tuple[bytes, bytes]]:
        """Returns the headers specific to one response."""
        closes = [(b"connection", b"close")] if last else []
        request_id = (b"x-request-id", ids.request.encode())
        allowed = cors_headers(self._settings.cors_origins, headers)
        return [*self.server_state.default_headers, request_id, *closes, *allowed]

    def _count(self, status: int) -> None:
        """Counts a response in the metrics, or passes its status to the handler, which counts it."""
        handled = not self._in_head and self.cycle is not None and not self.cycle.response_complete
        if not handled:
            self._context.metrics.requests.labels(UNMATCHED, str(status)).inc()
        elif not self.cycle.response_started:
            self.scope["state"]["refused"] = status


def _end_admission(cycle: RequestResponseCycle) -> None:
    if (admission := cycle.scope["state"].get("admission")) is not None:
        admission.end()

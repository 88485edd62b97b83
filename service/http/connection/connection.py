"""A client's connection, and the responses that it sends without the application."""

from collections.abc import Callable
from typing import Any

from service.http import problem
from service.http.connection.bounded_protocol import BoundedProtocol
from service.http.connection.raw_answers import raw_answer
from service.http.context import Context
from service.http.cors import cors_headers
from service.telemetry import request_ids
from service.telemetry.metrics import UNMATCHED


class Connection(BoundedProtocol):
    """Handles one client's connection.

    Attributes:
        gone: the connection is closed.
        when_gone: called when that happens; set by the request being answered.
    """

    def __init__(self, context: Context, **kwargs: Any) -> None:
        super().__init__(context.settings, **kwargs)
        self._context = context
        self._discarded_bytes = 0  # body bytes of a request that is already answered
        self.gone = False
        self.when_gone: Callable[[], None] | None = None

    @property
    def answered(self) -> bool:
        """True once a request has arrived."""
        return self.cycle is not None

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.pipeline.clear()
        super().connection_lost(exc)
        self.gone = True
        self._context.group.connection_lost()
        if self.when_gone is not None:
            self.when_gone()

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._discarded_bytes = 0
        self.scope["state"]["connection"] = self

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        super().on_body(body)
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > self._settings.max_body_bytes:
                self.transport.close()

    def _refuse(self, status: int, detail: str, kind: tuple[str, str] | None = None) -> None:
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.close()  # a second response would corrupt the first
            return
        slug, title = kind or problem.HTTP[status]
        headers = dict(self.headers or ())
        own = self._own_headers(request_ids.ids_from(headers), headers, last=True)
        self.transport.write(raw_answer(problem.make(status, slug, title, detail), own))
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

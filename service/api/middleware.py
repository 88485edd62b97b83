"""What surrounds every request: its id, its timing, its limit on size, its line in the metrics.

Pure ASGI, so that a client's disconnect still reaches the handlers.
"""

import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.context import Context, Timing
from service.errors import TooLarge

REQUEST_ID = "X-Request-ID"


class Envelope:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection event of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        timing = Timing(time.monotonic())
        scope.setdefault("state", {})["timing"] = timing
        headers = Headers(scope=scope)
        id = _clean(headers.get(REQUEST_ID, "")) or uuid.uuid4().hex
        status = 500

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer[REQUEST_ID] = id
                answer["Server-Timing"] = timing.header()
                if self._context.draining or status == 413:  # of a body too large, the rest is not read
                    answer["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, _limited(headers, receive, self._context.settings.max_body_bytes), send_enveloped)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._context.metrics.requests.labels(route, str(status)).inc()
            self._context.metrics.request_duration.labels(route).observe(time.monotonic() - timing.started)


def _clean(id: str) -> str:
    """Keeps a request id that is safe in a log and a header."""
    return id if len(id) <= 128 and id.isascii() and id.isprintable() else ""


def _limited(headers: Headers, receive: Receive, limit: int) -> Receive:
    """Wraps `receive`: raises TooLarge once the body is over the limit, at once where its length is announced."""
    announced = headers.get("Content-Length", "0")
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        if announced.isdecimal() and int(announced[:20]) > limit:
            raise _too_large(limit)
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
        return message

    return receive_limited


def _too_large(limit: int) -> TooLarge:
    return TooLarge("", "too large", f"at most {limit} bytes")

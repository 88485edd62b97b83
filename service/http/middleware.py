"""Middleware: request ids, timing, body limits, and the request record.

Pure ASGI: Starlette's BaseHTTPMiddleware would hide disconnects from the handlers.
"""

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.body import Body
from service.http.connection.connection import Connection
from service.http.context import Context
from service.telemetry import request_ids
from service.telemetry.metrics import UNMATCHED
from service.telemetry.timing import Timing


class RequestContextMiddleware:
    """Adds ids, timing and the limited body to each request, common headers to each response, and records requests.

    The wrapped application finds in the scope's `state`: context, timing, headers, body, and status, which is the
    response's status once it has begun, 0 before.
    """

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":
                await self._context.recorder.close()  # the lifespan ends with the app
            return
        context, timing = self._context, Timing(time.monotonic())
        headers = dict(scope["headers"])
        ids = request_ids.ids_from(headers)
        request_ids.current.set(ids)
        state = scope.setdefault("state", {})
        connection: Connection | None = state.get("connection")
        if connection is not None:
            connection.begin(asyncio.current_task())
        hold = connection.hold if connection is not None else lambda size: None
        body = Body(headers, receive, self._context.settings.max_body_bytes, hold)
        state["context"], state["timing"], state["headers"], state["body"] = self._context, timing, headers, body
        state["status"] = 0

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = state["status"] = message["status"]
                added = [
                    (b"x-request-id", ids.request.encode()),
                    (b"server-timing", timing.header().encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
                # The rest of the body will not be read.
                if context.draining or context.group.gives_up_connection() or status in (408, 413):
                    added.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            await self._app(scope, body.receive, send_with_headers)
        finally:
            if connection is not None:
                connection.task = None
            del state["body"]  # breaks a reference cycle
            body.release()
            self._context.bytes_in_progress -= body.in_progress
            route = getattr(scope.get("route"), "path", UNMATCHED)
            status = state.get("refused", state["status"])  # set by the connection for an incomplete request
            self._context.recorder.note(ids, headers, scope["method"], route, status, timing)

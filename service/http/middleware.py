"""Middleware: request ids, timing, body limits, the request record, authentication, and errors.

Pure ASGI: Starlette's BaseHTTPMiddleware would hide disconnects from the handlers.
"""

import asyncio
import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import EngineUnavailable
from service.http import problem
from service.http.body import Body
from service.http.connection.connection import Connection
from service.http.context import Context
from service.telemetry import request_ids
from service.telemetry.metrics import UNMATCHED
from service.telemetry.timing import Timing

log = logging.getLogger("tagwerk.server")


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
        timing = Timing(time.monotonic())
        headers = dict(scope["headers"])
        ids = request_ids.ids_from(headers)
        request_ids.current.set(ids)
        state = scope.setdefault("state", {})
        connection: Connection | None = state.get("connection")
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
                if self._context.closes_connection() or status in (408, 413):
                    added.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            await self._app(scope, body.receive, send_with_headers)
        finally:
            del state["body"]  # breaks a reference cycle
            body.release()
            self._context.bytes_in_progress -= body.in_progress
            route = getattr(scope.get("route"), "path", UNMATCHED)
            status = state.get("refused", state["status"])  # set by the connection for an incomplete request
            self._context.recorder.note(ids, headers, scope["method"], route, status, timing)


class AuthenticationMiddleware:
    """Authenticates requests, and answers errors that the application does not handle.

    Sets `key` in the scope's `state` to the request's API key, if it has one.
    """

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state, path = scope["state"], scope["path"]
        headers, authenticator, key = state["headers"], self._context.authenticator, None
        try:
            if authenticator is not None and (key := authenticator.admit(path, headers)) is not None:
                state["key"], state["timing"].notes["key"] = key, key.id
            if state.get("head_too_large"):
                await problem.too_large_head(path)(scope, receive, send)
            elif headers.get(b"upgrade", b"").lower() == b"websocket":
                await problem.no_websocket(path)(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except problem.REFUSALS as error:
            await problem.refuse(path, error)(scope, receive, send)
        except asyncio.CancelledError:
            if not state["status"]:  # the server stops without waiting for this request
                stopping = EngineUnavailable("the service stops before the answer is ready")
                await problem.refuse(path, stopping)(scope, receive, send)
            raise
        except Exception:
            log.exception("failed: %s", request_ids.current.get())
            if not state["status"]:
                await problem.unexpected(path)(scope, receive, send)
            elif state["status"] != 500:  # the handler of unexpected errors sends a 500, then raises the error
                raise  # the response has begun: the connection is closed
        finally:
            if authenticator is not None and key is not None:
                authenticator.release(key)

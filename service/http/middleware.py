"""The ASGI layers around FastAPI: request ids, timing, body limits and the request record; API keys, tasks and errors.

Pure ASGI: Starlette's BaseHTTPMiddleware would hide disconnects from the handlers. Requests for tasks bypass FastAPI's
layers, which they do not use and which took twice as long as tokenizing and decoding.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import EngineUnavailable
from service.http import problem
from service.http.body import Body
from service.http.connection.connection import Connection
from service.http.context import Context
from service.telemetry.metrics import UNMATCHED
from service.telemetry.request import Timing, current_ids, ids_from

log = logging.getLogger("tagwerk.server")
RouteHandler = Callable[[Request], Coroutine[Any, Any, Response]]


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
        ids = ids_from(headers)
        current_ids.set(ids)
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
                if context.draining or context.surplus > 0 or status in (408, 413):
                    added.append((b"connection", b"close"))
                    context.surplus -= 1
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            await self._app(scope, body.receive, send_with_headers)
        finally:
            if connection is not None:
                connection.task = None
            del state["body"]  # breaks a reference cycle
            if (run := state.pop("run", None)) is not None:
                run.end()
            body.release()
            self._context.bytes_in_progress -= body.in_progress
            route = getattr(scope.get("route"), "path", UNMATCHED)
            status = state.get("refused", state["status"])  # set by the connection for an incomplete request
            self._context.recorder.note(ids, headers, scope["method"], route, status, timing)


class Dispatcher:
    """Wraps the application, and handles requests to the `routes` that accept POST alone.

    Sets `key` in the scope's `state` to the request's API key, or None. Passes HEAD on as GET, since FastAPI's
    routes do not answer it; the server sends no body with the response.
    """

    def __init__(self, app: ASGIApp, context: Context, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._context = context
        self._handlers: dict[str, tuple[APIRoute, RouteHandler]] = {
            route.path: (route, route.get_route_handler())
            for route in routes
            if isinstance(route, APIRoute) and route.methods == {"POST"} and not route.param_convertors
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state, path, request = scope["state"], scope["path"], Request(scope, receive, send)
        state["key"] = None
        route, handle = self._handlers.get(path, (None, None)) if scope["method"] == "POST" else (None, None)
        if route is not None:
            scope["route"] = route
        try:
            state["key"] = self._context.admit(path, state["headers"], state["timing"])
            if state["headers"].get(b"upgrade", b"").lower() == b"websocket":
                await problem.respond(path, problem.NO_WEBSOCKET)(scope, receive, send)
            elif handle is not None:
                response = await handle(request)
                await response(scope, receive, send)
            elif scope["method"] == "HEAD":
                await self._head(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except problem.EXPECTED as error:  # raised before the response has begun
            await (await problem.answer(request, error))(scope, receive, send)
        except asyncio.CancelledError:
            connection = state.get("connection")
            if connection is not None and connection.gone:
                state["status"] = state["status"] or problem.CLIENT_GONE
                return
            if not state["status"]:  # the server stops without waiting for this request
                stopping = EngineUnavailable("the service stops before the answer is ready")
                await (await problem.answer(request, stopping))(scope, receive, send)
            raise
        except Exception as error:
            log.exception("failed: %s", current_ids.get())
            if not state["status"]:
                await (await problem.answer(request, error))(scope, receive, send)
            elif state["status"] != 500:  # the handler of unexpected errors sends a 500, then raises the error
                raise  # the response has begun: the connection is closed
        finally:
            self._context.release(state["key"])

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        get = {**scope, "method": "GET"}  # a copy: the server looks at the method to leave out the body
        try:
            await self._app(get, receive, send)
        finally:
            scope["route"] = get.get("route")  # for the metrics

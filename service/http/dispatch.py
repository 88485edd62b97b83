"""Authenticates requests, calls the handlers of the task routes directly, bypassing FastAPI, and answers errors.

FastAPI runs each request through a dozen layers that these routes do not use: dependencies, background tasks,
sub-applications. They took twice as long as tokenizing and decoding.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import EngineUnavailable
from service.http import problem
from service.http.context import Context
from service.telemetry import request_ids

log = logging.getLogger("tagwerk.server")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Dispatcher:
    """Wraps the application, and handles POST requests to those of `routes` that accept only POST.

    Sets `key` in the scope's `state` to the request's API key, or None. Passes HEAD on as GET, since FastAPI's
    routes do not answer it; the server sends no body with the response.
    """

    def __init__(self, app: ASGIApp, context: Context, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._context = context
        self._handlers: dict[str, tuple[APIRoute, Handler]] = {
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
                await problem.no_websocket(path)(scope, receive, send)
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
        except Exception:
            log.exception("failed: %s", request_ids.current.get())
            if not state["status"]:
                await problem.unexpected(path)(scope, receive, send)
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

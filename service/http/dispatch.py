"""Calls the handlers of the task routes directly, bypassing FastAPI, and answers HEAD as GET.

FastAPI runs each request through a dozen layers that these routes do not use: dependencies, background tasks,
sub-applications. They took twice as long as tokenizing and decoding.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.http import problem
from service.http.context import TASKS, Context
from service.security.keys import client_of

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class TaskDispatcher:
    """Wraps the application, and handles POST requests to those of `routes` that accept only POST.

    Passes HEAD on as GET, since FastAPI's routes do not answer it. The server sends no body with the response.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._handlers: dict[str, tuple[APIRoute, Handler]] = {
            route.path: (route, route.get_route_handler())
            for route in routes
            if isinstance(route, APIRoute) and route.methods == {"POST"} and not route.param_convertors
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles an ASGI connection."""
        found = self._handlers.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            if scope["type"] == "http" and scope["method"] == "HEAD":
                await self._head(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return
        scope["route"], handle = found
        request = Request(scope, receive, send)
        context: Context = scope["state"]["context"]
        try:
            if (task := TASKS.get(scope["path"])) is not None:
                context.check_available(task, client_of(scope["state"].get("key")))
            response = await handle(request)
            await response(scope, receive, send)
        except problem.EXPECTED as error:  # raised before the response has begun
            refusal = await problem.answer(request, error)
            await refusal(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        get = {**scope, "method": "GET"}  # a copy: the server looks at the method to leave out the body
        try:
            await self._app(get, receive, send)
        finally:
            scope["route"] = get.get("route")  # for the metrics

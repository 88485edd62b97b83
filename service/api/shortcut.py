"""The way of most requests: a body of JSON that is valid, for a route that answers from it alone.

FastAPI walks through a dozen layers for each request, for what these routes have no use of: dependencies, background
tasks, sub-applications. That took twice as long as tokenizing and decoding. What is not plain (another method or media
type, a body that is not valid) goes the whole way, and has its answer from there.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import get_type_hints

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import problem
from service.api.context import Context
from service.api.negotiation import JSON

_JSON = JSON.encode()


@dataclass(frozen=True, slots=True)
class Way:
    """A route, what its body is, and what answers it."""

    route: APIRoute
    model: type[BaseModel]
    endpoint: Callable[[BaseModel, Request], Awaitable[Response]]


class Shortcut:
    """Wraps the application, and answers for `routes` whose endpoint takes (body, request)."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._ways: dict[str, Way] = {}
        for route in routes:
            if isinstance(route, APIRoute) and route.methods == {"POST"}:
                hints = get_type_hints(route.endpoint)
                if hints.keys() == {"body", "request", "return"}:
                    self._ways[route.path] = Way(route, hints["body"], route.endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection event of ASGI."""
        way = self._ways.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if way is None or scope["state"]["headers"].get(b"content-type") != _JSON:
            await self._app(scope, receive, send)
            return
        scope["route"] = way.route
        request = Request(scope, receive, send)
        here: Context = scope["state"]["context"]
        try:
            here.door.check(way.route.path)
            content = await content_of(receive)
            body = way.model.model_validate_json(content)
        except ValidationError:
            await self._app(scope, _again(content, receive), send)
            return
        except ClientDisconnect:
            return
        except problem.EXPECTED as error:
            response = await problem.answer(request, error)
        else:
            try:
                response = await way.endpoint(body, request)
            except problem.EXPECTED as error:
                response = await problem.answer(request, error)
        await response(scope, receive, send)


async def content_of(receive: Receive) -> bytes:
    """Receives a whole body. Raises ClientDisconnect. Starlette's own goes through two generators for each."""
    pieces = []
    while (message := await receive())["type"] == "http.request":
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    raise ClientDisconnect


def _again(content: bytes, receive: Receive) -> Receive:
    """Returns a `receive` that begins with a body that was received already."""
    waiting: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again

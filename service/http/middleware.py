"""What surrounds every request: its ids, its timing, its body, its record; its key, and the errors that it may raise.

Pure ASGI, so that a client's disconnect still reaches the handlers.
"""

import asyncio
import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import EngineUnavailable
from service.http import problem
from service.http.body import Body
from service.http.body_budget import HeldBody, may_be_large
from service.http.context import Context
from service.telemetry import request_ids
from service.telemetry.metrics import UNMATCHED
from service.telemetry.timing import Timing

log = logging.getLogger("tagwerk.api")


class Envelope:
    """Gives each request its ids, timing and body, and each answer the headers that all have; records each request.

    What it wraps finds them in the scope's `state`: context, timing, headers, body, and status, which is that of the
    answer once it has begun, 0 before.
    """

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection event of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":
                await self._context.recorder.close()  # the app lives as long as its lifespan event
            return
        timing = Timing(time.monotonic())
        headers = dict(scope["headers"])
        ids = request_ids.ids_from(headers)
        request_ids.current.set(ids)
        body = Body(headers, receive, self._context.settings.max_body_bytes)
        held = HeldBody(body, self._context.body_budget) if may_be_large(headers) else None
        state = scope.setdefault("state", {})
        state["context"], state["timing"], state["headers"], state["body"] = self._context, timing, headers, body
        state["status"] = 0

        async def send_enveloped(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = state["status"] = message["status"]
                added = [
                    (b"x-request-id", ids.request.encode()),
                    (b"server-timing", timing.header().encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
                # The rest of the body is not read.
                if self._context.draining or status in (408, 413) or (held is not None and held.refused):
                    added.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            await self._app(scope, body.receive if held is None else held.receive, send_enveloped)
        finally:
            del state["body"]  # which holds what it is in: it would stay until Python searches for such
            if held is not None:
                self._context.body_budget.remove(held)
            if (admission := state.get("admission")) is not None:
                admission.end()
            route = getattr(scope.get("route"), "path", UNMATCHED)
            status = state.get("refused", state["status"])  # by the connection, of what did not arrive
            self._context.recorder.note(ids, headers, scope["method"], route, status, timing)


class Checks:
    """Refuses requests that have no right to an answer, and answers for errors that the application does not.

    The key of a request that has one is in the scope's `state` as `key`.
    """

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection event of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state, path = scope["state"], scope["path"]
        headers, authenticator, key = state["headers"], self._context.authenticator, None
        try:
            if authenticator is not None and (key := authenticator.enter(path, headers)) is not None:
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
            if not state["status"]:  # the server stops, and waits for this no longer
                stopping = EngineUnavailable("the service stops before the answer is there")
                await problem.refuse(path, stopping)(scope, receive, send)
            raise
        except Exception:
            log.exception("failed: %s", request_ids.current.get())
            if state["status"]:
                raise  # the answer has begun: all that is left is to break it off
            await problem.unexpected(path)(scope, receive, send)
        finally:
            if authenticator is not None and key is not None:
                authenticator.leave(key)

"""What surrounds every request: its ids, its timing, its body, its line in the ledger.

Pure ASGI, so that a client's disconnect still reaches the handlers.
"""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import problem, trace
from service.api.body import Body
from service.api.context import Context
from service.api.timing import Timing
from service.metrics import UNMATCHED

log = logging.getLogger("tagwerk.api")


class Envelope:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection event of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            await self._context.ledger.close()  # the app lives as long as its lifespan event
            return
        timing = Timing(time.monotonic())
        headers = dict(scope["headers"])
        ids = trace.ids_from(headers)
        trace.current.set(ids)
        body = Body(headers, receive, self._context.settings.max_body_bytes)
        state = scope.setdefault("state", {})
        state["context"], state["timing"], state["headers"], state["body"] = self._context, timing, headers, body
        status = 0

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = [
                    (b"x-request-id", ids.request.encode()),
                    (b"server-timing", timing.header().encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
                if self._context.draining or status == 413:  # of a body too large, the rest is not read
                    added.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        guard, key = self._context.guard, None
        try:
            if guard is not None and (key := guard.enter(scope["path"], headers)) is not None:
                timing.notes["key"] = key.id
            if state.get("head_too_large"):
                await problem.too_large_head(scope["path"])(scope, body.receive, send_enveloped)
            else:
                await self._app(scope, body.receive, send_enveloped)
        except problem.REFUSALS as error:
            await problem.refuse(scope["path"], error)(scope, body.receive, send_enveloped)
        except Exception:
            log.exception("failed: %s", ids)
            if status:
                raise  # the answer has begun: all that is left is to break it off
            await problem.unexpected(scope["path"])(scope, body.receive, send_enveloped)
        finally:
            del state["body"]  # which holds what it is in: it would stay until Python searches for such
            if guard is not None and key is not None:
                guard.leave(key)
            route = getattr(scope.get("route"), "path", UNMATCHED)
            status = state.get("refused", status)  # by the connection, of what did not arrive
            self._context.ledger.note(ids, headers, scope["method"], route, status, timing)

"""Server-sent events (html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.types import Send

from service.formats.pieces import to_json
from service.http.disconnect import while_client_waits

MEDIA_TYPE = "text/event-stream"
SCHEMA = {  # of an event
    "type": "object",
    "required": ["data"],
    "properties": {
        "event": {"type": "string", "enum": ["message", "finish", "error"], "description": "What the event is."},
        "data": {"type": "string", "description": "JSON of the event."},
    },
}
HEARTBEAT = format_sse_event(comment="")  # keeps proxies from closing a connection on which nothing comes
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class EventStream(EventSourceResponse):
    """Sends events as they come; when the client goes, their source is closed."""

    async def stream_response(self, send: Send) -> None:
        """Sends the head and the events."""
        async with aclosing(self._events):
            await super().stream_response(send)

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events
        super().__init__(events, headers=HEADERS)


async def streamed(request: Request, events: AsyncGenerator[bytes, None]) -> EventStream:
    """Returns the response once there is an event: an error that comes before the first has a status of its own."""
    with while_client_waits(request):
        first = await anext(events)

    async def all_events() -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            yield first
            async for event in events:
                yield event

    return EventStream(all_events())


def event(data: dict[str, Any], kind: str | None = None) -> bytes:
    """Returns an event; `message` is the kind of those that have none."""
    return format_sse_event(data_str=to_json(data).decode(), event=kind)

"""Server-sent events (html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from service.errors import TagwerkError
from service.formats.pieces import to_json
from service.http import problem
from service.http.disconnect import while_client_waits
from service.pipelines.generation import Finish, GenerationOptions, Next, stream
from service.pipelines.run import PipelineRun

MEDIA_TYPE = "text/event-stream"
SCHEMA = {  # of one event: OpenAPI 3.1 has no schema for streams
    "type": "object",
    "description": "One event of the stream.",
    "required": ["data"],
    "properties": {
        "event": {"type": "string", "enum": ["message", "finish", "error"], "description": "What the event is."},
        "data": {"type": "string", "description": "JSON of the event."},
    },
}
HEARTBEAT = format_sse_event(comment="")  # keeps proxies from closing an idle connection
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class EventStream(EventSourceResponse):
    """Sends server-sent events; closes their source when the client disconnects."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events
        super().__init__(events, headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response. Its task is cancelled directly.

        Starlette's cancel scope, from AnyIO, waits for an event loop iteration in which the task has nothing to do:
        while a text is written in this event loop, there may be none.
        """
        sending = asyncio.create_task(self.stream_response(send))
        listening = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait([sending, listening], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, listening):
                task.cancel()
            await asyncio.wait([sending, listening])
        if not sending.cancelled():
            sending.result()

    async def stream_response(self, send: Send) -> None:
        """Sends the response's start and the events."""
        async with aclosing(self._events):
            await super().stream_response(send)


async def streamed(request: Request, events: AsyncGenerator[bytes, None]) -> EventStream:
    """Returns a streaming response after the first event: an error before it gets its own status code."""
    with while_client_waits(request):
        first = await anext(events)

    async def all_events() -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            yield first
            async for event in events:
                yield event

    return EventStream(all_events())


async def generation_events(
    run: PipelineRun,
    options: GenerationOptions,
    write: Callable[[Next | Finish], bytes],
    write_error: Callable[[dict[str, Any]], bytes],
    write_end: Callable[[], Iterable[bytes]] = tuple,
) -> AsyncGenerator[bytes, None]:
    """Yields the events of a generation: of each piece and end of a text, heartbeats when idle, and those of its end.

    After the first event, `write_error` encodes the problem document of an error, which ends the stream.
    """
    begun = False
    try:
        async with aclosing(stream(run, options)) as texts:
            async for part in texts:
                yield HEARTBEAT if part is None else write(part)
                begun = True
        for last in write_end():
            yield last
    except TagwerkError as error:
        if not begun:
            raise
        yield write_error(problem.document(error, run.timing))


def event(data: dict[str, Any], kind: str | None = None) -> bytes:
    """Encodes an event. Without a kind, it is a `message`."""
    return format_sse_event(data_str=to_json(data).decode(), event=kind)

"""Server-sent events (html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any

from fastapi.sse import format_sse_event

from service.errors import TagwerkError
from service.http import problem
from service.http.representation import Streamed
from service.pipelines.formats import to_json
from service.pipelines.generation import GenerationOptions, stream
from service.pipelines.run import PipelineRun
from service.tasks.generation import End, TextChunk

MEDIA_TYPE = "text/event-stream"
SCHEMA: dict[str, Any] = {  # of one event: OpenAPI 3.1 has no schema for streams
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


async def streamed(events: AsyncGenerator[bytes, None]) -> Streamed:
    """Returns a streaming response after the first event: an error before it gets its own status code."""
    first = await anext(events)

    async def all_events() -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            yield first
            async for event in events:
                yield event

    return Streamed(all_events(), headers=HEADERS, media_type=MEDIA_TYPE)


async def generation_events(
    run: PipelineRun,
    options: GenerationOptions,
    write: Callable[[int, TextChunk | End], bytes],
    write_error: Callable[[dict[str, Any]], bytes],
    write_end: Callable[[], Iterable[bytes]] = tuple,
) -> AsyncGenerator[bytes, None]:
    """Yields the events of a generation: for each chunk and each end of a text, heartbeats when idle, then `write_end`.

    After the first event, `write_error` encodes the problem document of an error, which ends the stream.
    """
    begun = False
    try:
        async with aclosing(stream(run, options)) as texts:
            async for text_event in texts:
                yield HEARTBEAT if text_event is None else write(*text_event)
                begun = True
        for last in write_end():
            yield last
    except TagwerkError as error:
        if not begun:
            raise
        yield write_error(problem.report(error, run.resources.metrics, run.timing))


def event(data: dict[str, Any], kind: str | None = None) -> bytes:
    """Encodes an event. Without a kind, it is a `message`."""
    return format_sse_event(data_str=to_json(data).decode(), event=kind)


def described(example: str) -> dict[str, Any]:
    """Describes an answer with generated texts for the OpenAPI document; `example` is an example of its stream."""
    content = {MEDIA_TYPE: {"schema": SCHEMA, "example": example}}
    return {"description": "The texts, as JSON or as a stream", "content": content}

"""POST /tag, /classify, /generate: what each takes and gives, in all its forms."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service.errors import InvalidInput, TagwerkError
from service.http import events, problem, schemas
from service.http.call import Call, call_of
from service.http.classify import classify
from service.http.compression import respond
from service.http.disconnect import while_client_waits
from service.http.generate import Finish, Next, generate, logprobs, stream
from service.http.negotiation import JSON, wanted
from service.http.route import JsonRoute, Lines
from service.http.tag import tag, write_conllu, write_json
from service.text import conllu


async def tag_line(call: Call, body: schemas.TagRequest) -> list[bytes]:
    """Answers a line of /tag."""
    if body.format == "conllu":
        raise InvalidInput("/format", "got conllu", "json, or a request that is not newline-delimited")
    task, texts = await tag(call, body)
    return await call.run(write_json(task, texts, body))


async def generate_line(call: Call, body: schemas.GenerateRequest) -> list[bytes]:
    """Answers a line of /generate."""
    if body.stream:
        raise InvalidInput("/stream", "got true", "false, or a request that is not newline-delimited")
    return await generate(call, body)


LINES: dict[str, Lines] = {
    "/tag": (tag_line, schemas.TagRequest),
    "/classify": (classify, schemas.ClassifyRequest),
    "/generate": (generate_line, schemas.GenerateRequest),
}


class TaskRoute(JsonRoute):
    """A route of a task, which takes lines of JSON, too."""

    lines = LINES


router = APIRouter(route_class=TaskRoute, responses=problem.RESPONSES)

TAG_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The tags, as JSON or CoNLL-U",
        "content": {conllu.MEDIA_TYPE: {"schema": {"type": "string"}, "example": schemas.CONLLU_EXAMPLE}},
    }
}


@router.post(
    "/tag", operation_id="tag", response_model=schemas.TagAnswer, responses=TAG_RESPONSES, summary="Part-of-speech tags"
)
async def tag_(body: schemas.TagRequest, request: Request) -> Response:
    """Splits texts into sentences and tokens, and tags each token; or tags tokens as they are given."""
    call, media_type = call_of(request), wanted(request, (JSON, conllu.MEDIA_TYPE))
    if body.format is not None:
        media_type = conllu.MEDIA_TYPE if body.format == "conllu" else JSON
    with while_client_waits(request):
        task, texts = await tag(call, body)
        if media_type == JSON:
            content = await call.run(write_json(task, texts, body))
        else:
            content = await call.run(write_conllu(task, texts, body.offsets))
    return await respond(request, content, media_type)


@router.post("/classify", operation_id="classify", response_model=schemas.ClassifyAnswer, summary="Sentiment")
async def classify_(body: schemas.ClassifyRequest, request: Request) -> Response:
    """Judges texts: the probability of each label, over the whole of each text."""
    call = call_of(request)
    wanted(request, (JSON,))
    with while_client_waits(request):
        content = await classify(call, body)
    return await respond(request, content)


GENERATE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The texts, as JSON or as they come",
        "content": {events.MEDIA_TYPE: {"itemSchema": events.SCHEMA, "example": schemas.EVENTS_EXAMPLE}},
    }
}


@router.post(
    "/generate",
    operation_id="generate",
    response_model=schemas.GenerateAnswer,
    responses=GENERATE_RESPONSES,
    summary="Generated text",
)
async def generate_(body: schemas.GenerateRequest, request: Request) -> Response:
    """Continues prompts, character by character; with `stream`, sends the characters as they come."""
    call, media_type = call_of(request), wanted(request, (JSON, events.MEDIA_TYPE))
    if body.stream or media_type == events.MEDIA_TYPE:
        return await events.streamed(request, generated(call, body))
    with while_client_waits(request):
        content = await generate(call, body)
    return await respond(request, content)


async def generated(call: Call, body: schemas.GenerateRequest) -> AsyncGenerator[bytes, None]:
    """Yields the events of a stream: a message for each piece of text, `finish` for the end of each text.

    An error that comes after the first of them is an event, too.
    """
    begun = False
    try:
        async with aclosing(stream(call, body)) as texts:
            async for event in texts:
                match event:
                    case Next(index, piece):
                        yield events.event({"index": index, "text": piece.text, **logprobs(body, piece.choices)})
                    case Finish(index, end, seed):
                        facts = {"finish_reason": end.finish_reason, "tokens": end.tokens, "seed": seed}
                        yield events.event({"index": index, **facts}, "finish")
                    case None:
                        yield events.HEARTBEAT
                begun = True
    except TagwerkError as error:
        if not begun:
            raise
        yield events.event(problem.document(error, call.timing), "error")

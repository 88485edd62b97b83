"""The routes POST /tag, /classify and /generate, in all their formats."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service.api import answer_schemas, events, request_schemas
from service.api.lines import takes_lines
from service.api.openapi import INFER, responses
from service.api.route import JsonRoute
from service.errors import InvalidInput
from service.http.context import pipeline_run
from service.http.representation import respond, wanted
from service.pipelines import formats
from service.pipelines.classification import classify
from service.pipelines.formats import FORMATS, JSON, MEDIA_TYPES, TagFormat
from service.pipelines.generation import generate_and_write
from service.pipelines.run import PipelineRun
from service.pipelines.tagging import tag
from service.tasks.generation import End, TextChunk
from service.text import conllu


async def run_tag(run: PipelineRun, body: request_schemas.TagRequest, format: TagFormat) -> list[bytes]:
    """Runs the tagging pipeline on a /tag body; returns the answer in a format, in chunks."""
    model, texts = await tag(
        run,
        body.text,
        tokens=body.tokens or (),
        model=body.model,
        language=body.language,
        lemmas=body.lemmas,
        candidates=body.n_best > 1,
    )
    return await run.do(formats.write_tagged(model, texts, body.offsets, body.n_best, format))


async def run_classify(run: PipelineRun, body: request_schemas.ClassifyRequest) -> list[bytes]:
    """Runs the classification pipeline on a /classify body; returns the JSON in chunks."""
    classified = await classify(
        run, body.text, model=body.model, contributions=body.contributions, sentences=body.sentences
    )
    return await run.do(formats.write_classified(*classified, body.offsets))


async def run_generate(run: PipelineRun, body: request_schemas.GenerateRequest) -> list[bytes]:
    """Runs the generation pipeline on a /generate body; returns the JSON in chunks."""
    write = partial(formats.write_generated, logprobs=body.logprobs is not None)
    return formats.write_answer(*await generate_and_write(run, body, write))


async def tag_line(run: PipelineRun, body: request_schemas.TagRequest) -> list[bytes]:
    """Handles a line of /tag."""
    if body.format not in (None, "json"):
        raise InvalidInput("/format", f"got {body.format}", "json, or a request that is not newline-delimited")
    return await run_tag(run, body, "json")


async def generate_line(run: PipelineRun, body: request_schemas.GenerateRequest) -> list[bytes]:
    """Handles a line of /generate."""
    if body.stream:
        raise InvalidInput("/stream", "got true", "false, or a request that is not newline-delimited")
    return await run_generate(run, body)


router = APIRouter(route_class=JsonRoute, responses=responses(406, *INFER), tags=["Tasks"])

CONLLU = {conllu.MEDIA_TYPE: {"schema": {"type": "string"}, "example": answer_schemas.CONLLU_EXAMPLE}}


@router.post(
    "/tag",
    operation_id="tag",
    summary="Part-of-speech tags",
    response_model=answer_schemas.TagAnswer,
    responses={200: {"description": "The tags, as JSON or CoNLL-U", "content": CONLLU}},
)
@takes_lines(tag_line)
async def tag_(body: request_schemas.TagRequest, request: Request) -> Response:
    """Splits texts into sentences and tokens, and tags each token; or tags tokens as they are given."""
    run, preferred = pipeline_run(request), wanted(request, (*FORMATS,))
    format = body.format or FORMATS[preferred]
    content = await run_tag(run, body, format)
    return await respond(request, content, MEDIA_TYPES[format])


@router.post(
    "/classify",
    operation_id="classify",
    summary="Sentiment",
    response_model=answer_schemas.ClassifyAnswer,
    response_description="The labels",
)
@takes_lines(run_classify)
async def classify_(body: request_schemas.ClassifyRequest, request: Request) -> Response:
    """Classifies texts: the probability of each label, over the whole of each text."""
    run = pipeline_run(request)
    wanted(request, (JSON,))
    content = await run_classify(run, body)
    return await respond(request, content)


@router.post(
    "/generate",
    operation_id="generate",
    summary="Generated text",
    response_model=answer_schemas.GenerateAnswer,
    responses={200: events.described(answer_schemas.EVENTS_EXAMPLE)},
)
@takes_lines(generate_line)
async def generate_(body: request_schemas.GenerateRequest, request: Request) -> Response:
    """Continues prompts, character by character; with `stream`, as server-sent events."""
    run, media_type = pipeline_run(request), wanted(request, (JSON, events.MEDIA_TYPE))
    if body.stream or media_type == events.MEDIA_TYPE:
        return await events.streamed(generated(run, body))
    content = await run_generate(run, body)
    return await respond(request, content)


def generated(run: PipelineRun, body: request_schemas.GenerateRequest) -> AsyncGenerator[bytes, None]:
    """Yields the events of a stream: a message for each chunk of text, `finish` at the end of each text, `error`."""

    def write(index: int, chunk: TextChunk | End) -> bytes:
        if isinstance(chunk, End):
            facts = {"finish_reason": chunk.finish_reason, "tokens": chunk.tokens, "seed": chunk.seed}
            return events.event({"index": index, **facts}, "finish")
        message: dict[str, Any] = {"index": index, "text": chunk.text}
        if body.logprobs is not None:
            message["logprobs"] = list(map(formats.as_dict, chunk.choices))
        return events.event(message)

    return events.generation_events(run, body, write, partial(events.event, kind="error"))

"""POST /tag, /classify, /generate."""

import asyncio
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic_core import to_json

from service.api import schemas
from service.api.context import Context, Timing, context, deadline, timing_of
from service.api.disconnect import while_client_waits
from service.api.problem import RESPONSES
from service.engine.padding import Tensors
from service.engine.protocol import Generation, Inference, Outcome
from service.errors import DeadlineExceeded, Overloaded, TooLarge
from service.registry import ModelVersion
from service.tasks.generation import TextGeneration
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tag, Tagging
from service.text.tokenizer import Sentence, Token

router = APIRouter(responses=RESPONSES)

# A text as the tagger takes it: itself, and its sentences.
Split = tuple[str, Sequence[Sentence]]


@router.post("/tag", response_model=schemas.TagAnswer, summary="Part-of-speech tags")
async def tag(body: schemas.TagRequest, request: Request) -> Response:
    """Splits texts into sentences and tokens, and tags each token; or tags tokens as they are given."""
    here, timing = context(request), timing_of(request)
    task = here.catalog.find(Tagging, body.model)
    until = deadline(request, here.settings)
    began = time.monotonic()
    texts: list[Split]
    if body.text is not None:
        check_size(here, "text", body.text)
        texts = [(text, here.tokenizer.sentences(text)) for text in body.text]
    else:
        check_size(here, "tokens", [" ".join(tokens) for tokens in body.tokens or []])
        texts = [join(tokens) for tokens in body.tokens or []]
    entries = [task.encode([t.text for t in s.tokens]) for _, sentences in texts for s in sentences]
    observe_tokenizing(here, timing, task.version, began)
    outputs = iter(await run(here, request, task.version, entries, until))
    results = [{"sentences": [tagged(task, text, s, next(outputs)) for s in sentences]} for text, sentences in texts]
    return answer(task.version, results)


@router.post("/classify", response_model=schemas.ClassifyAnswer, summary="Sentiment")
async def classify(body: schemas.ClassifyRequest, request: Request) -> Response:
    """Judges texts: the probability of each label, over the whole of each text."""
    here, timing = context(request), timing_of(request)
    task = here.catalog.find(Sentiment, body.model)
    until = deadline(request, here.settings)
    began = time.monotonic()
    check_size(here, "text", body.text)
    entries = [task.encode([t.text for t in here.tokenizer.tokens(text)]) for text in body.text]
    observe_tokenizing(here, timing, task.version, began)
    outputs = await run(here, request, task.version, entries, until)
    results = []
    for pieces, output in zip(entries, outputs, strict=True):
        judgement = task.decode(output, [len(piece["word_ids"]) for piece in pieces])
        results.append({"label": judgement.label, "scores": judgement.scores, "truncated": False})
    return answer(task.version, results)


@router.post("/generate", response_model=schemas.GenerateAnswer, summary="Generated text")
async def generate(body: schemas.GenerateRequest, request: Request) -> Response:
    """Continues prompts, character by character."""
    here = context(request)
    task = here.catalog.find(TextGeneration, body.model)
    until = deadline(request, here.settings)
    check_size(here, "prompt", body.prompt)
    if body.max_tokens > here.settings.max_generated_tokens:
        raise TooLarge("/max_tokens", f"got {body.max_tokens}", f"at most {here.settings.max_generated_tokens}")
    seed = secrets.randbits(53) if body.seed is None else body.seed

    async def continued(prompt: str) -> dict[str, Any]:
        wish = Generation(
            model=task.version.key,
            prompt=task.encode(prompt),
            max_tokens=body.max_tokens,
            temperature=body.temperature,
            top_k=body.top_k,
            top_p=body.top_p,
            seed=seed,
            deadline=until,
        )
        text = await task.decode(here.engine.generate(wish), body.stop)
        return {"text": text.text, "finish_reason": text.finish_reason, "tokens": text.tokens, "seed": seed}

    async with while_client_waits(request):
        with counted(here):
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(continued(prompt)) for prompt in body.prompt]
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
    return answer(task.version, [done.result() for done in tasks])


async def run(
    here: Context, request: Request, version: ModelVersion, entries: Sequence[Sequence[Tensors]], until: float
) -> list[list[dict[str, Any]]]:
    """Runs the pieces of all sequences of a request at once; returns the outputs sequence by sequence."""
    examples = [piece for pieces in entries for piece in pieces]
    outcome = Outcome([])
    if examples:
        async with while_client_waits(request):
            with counted(here):
                outcome = await here.engine.infer(Inference(version.key, examples, until))
    timing_of(request).stages |= {"queue": outcome.queue_seconds, "inference": outcome.inference_seconds}
    outputs = iter(outcome.outputs)
    return [[next(outputs) for _ in pieces] for pieces in entries]


def answer(version: ModelVersion, results: list[dict[str, Any]]) -> Response:
    """Encodes an answer; its schema is checked by tests, not again for each request."""
    content = {"model": version.manifest.name, "version": version.manifest.version, "results": results}
    return Response(to_json(content), media_type="application/json")


def tagged(task: Tagging, text: str, sentence: Sentence, outputs: Sequence[Tensors]) -> dict[str, Any]:
    """Returns a sentence with its tags, in the shape of `schemas.Sentence`."""
    tags = task.decode(len(sentence.tokens), outputs)
    return {
        "text": text[sentence.start : sentence.end],
        "start": sentence.start,
        "end": sentence.end,
        "tokens": [described(token, tag) for token, tag in zip(sentence.tokens, tags, strict=True)],
    }


def described(token: Token, tag: Tag) -> dict[str, Any]:
    """Returns a token with its tags, in the shape of `schemas.Token`."""
    return {
        "text": token.text,
        "start": token.start,
        "end": token.end,
        "upos": tag.upos,
        "xpos": tag.xpos,
        "feats": tag.feats,
        "confidence": tag.confidence,
    }


def join(tokens: Sequence[str]) -> Split:
    """Returns tokens as one sentence of the text that they make when joined by spaces."""
    placed, start = [], 0
    for token in tokens:
        placed.append(Token(token, start, start + len(token)))
        start += len(token) + 1
    return " ".join(tokens), [Sentence(0, start - 1, tuple(placed))]


def check_size(here: Context, field: str, texts: Sequence[str]) -> None:
    """Raises TooLarge where a request has too many items or characters."""
    most = here.settings.max_items
    if len(texts) > most:
        raise TooLarge(f"/{field}", f"{len(texts)} items", f"at most {most}")
    longest, characters = here.settings.max_text_characters, sum(map(len, texts))
    if characters > longest:
        raise TooLarge(f"/{field}", f"{characters} characters", f"at most {longest}, all items together")


def observe_tokenizing(here: Context, timing: Timing, version: ModelVersion, began: float) -> None:
    """Notes the time that tokenizing and encoding took."""
    seconds = time.monotonic() - began
    timing.stages["tokenize"] = seconds
    here.metrics.tokenize_duration.labels(version.manifest.name).observe(seconds)


@contextmanager
def counted(here: Context) -> Iterator[None]:
    """Counts requests that are rejected, expire, or are given up by their client."""
    try:
        yield
    except Overloaded:
        here.metrics.rejected.labels("overloaded").inc()
        raise
    except DeadlineExceeded:
        here.metrics.expired.inc()
        raise
    except asyncio.CancelledError:
        here.metrics.cancelled.inc()
        raise

"""Parses and validates a request body. Each limit is checked before the work that it limits."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from service.errors import InvalidJson, TooLarge
from service.http.body import content_of
from service.http.context import Context, context_of
from service.http.validation import not_valid
from service.settings import Settings

LARGE_BYTES = 65_536  # larger bodies are parsed one at a time
STRUCTURE = b",:[]{}"
MARKS_AN_ITEM = 3  # per item of a list of sentences: a comma and two brackets; of texts, a comma
MARKS_BESIDE = 4096  # for the other fields: 16 stop strings of 100 commas, parameters, tensor names and shapes
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


async def read(request: Request, schema: type[M]) -> M:
    """Receives and parses a body. Raises what `receive` and `parse` raise."""
    content, context = await receive(request), context_of(request)
    return await in_turn(context, content, lambda: parse(content, schema, context.settings))


async def receive(request: Request) -> bytes:
    """Receives a body, and begins its request. Raises TooLarge, InvalidInput, ClientGone, Overloaded."""
    context, body = context_of(request), request.scope["state"]["body"]
    content = await content_of(request.receive, context.settings.max_body_bytes)
    context.begin(len(content))
    body.in_progress = len(content)
    return content


async def in_turn(context: Context, content: bytes, work: Callable[[], T]) -> T:
    """Runs work on a body. Large bodies run one at a time, and yield to the event loop after each."""
    if len(content) <= LARGE_BYTES:
        return work()
    async with context.long_work:
        try:
            return work()
        finally:
            await asyncio.sleep(0)


def parse(content: bytes, schema: type[M], settings: Settings) -> M:
    """Parses and validates a body. Raises TooLarge, InvalidJson, and InvalidFields for a schema violation."""
    return validate(parse_json(content, settings), schema, settings)


def validate(value: object, schema: type[M], settings: Settings, place: str = "") -> M:
    """Validates parsed JSON. Raises TooLarge, InvalidFields. `place`: its pointer in the body."""
    try:
        return schema.model_validate(value, context=settings)
    except ValidationError as error:
        raise not_valid(error, value, schema, place) from None


def parse_json(content: bytes, settings: Settings) -> Any:
    """Parses JSON. Raises TooLarge for more structure than any valid request has, and InvalidJson."""
    most = settings.max_text_characters + MARKS_AN_ITEM * settings.max_items + MARKS_BESIDE
    if len(content) > most and (marks := len(content) - len(content.translate(None, STRUCTURE))) > most:
        raise TooLarge(
            "",
            f"{marks} commas, colons, brackets and braces",
            f"at most {most}, texts included; below /v2 larger tensors can follow the JSON as bytes",
        )
    try:
        return from_json(content, cache_strings="none")
    except ValueError as error:
        if not content.strip():
            raise InvalidJson("the body is empty; allowed: a JSON object") from None
        raise InvalidJson(str(error)) from None

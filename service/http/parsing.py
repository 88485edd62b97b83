"""Reads the body of a request: bytes to JSON to a request that is valid, each limit before the work that it limits."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from service.errors import TooLarge
from service.http import problem
from service.http.body import content_of
from service.http.context import Context, context_of
from service.http.validation import not_valid
from service.settings import Settings

LARGE_BYTES = 65_536  # larger bodies are parsed one after the other
STRUCTURE = b",:[]{}"
MARKS_AN_ITEM = 3  # of a list of sentences: a comma and two brackets; of texts a comma
MARKS_BESIDE = 4096  # of the other fields: 16 stop strings of 100 commas, parameters, tensors' names and shapes
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


async def read(request: Request, schema: type[M]) -> M:
    """Receives and parses a body. Raises what `parse` raises, TooLarge, InvalidInput, ClientGone."""
    return await parse_in_turn(await content_of(request.receive), schema, context_of(request))


async def parse_in_turn(content: bytes, schema: type[M], context: Context) -> M:
    """Does what `parse` does, in turn."""
    return await in_turn(context, content, lambda: parse(content, schema, context.settings))


async def in_turn(context: Context, content: bytes, work: Callable[[], T]) -> T:
    """Does work on a body. Large bodies wait for each other, and leave the event loop to others after each."""
    if len(content) <= LARGE_BYTES:
        return work()
    async with context.long_work:
        try:
            return work()
        finally:
            await asyncio.sleep(0)


def parse(content: bytes, schema: type[M], settings: Settings) -> M:
    """Returns a request. Raises TooLarge, and Refused for what is not JSON or breaks the schema."""
    value = parse_json(content, settings, lone_surrogates=True)
    try:
        return schema.model_validate(value, context=settings)
    except ValidationError as error:
        raise not_valid(error, value) from None


def parse_json(content: bytes, settings: Settings, *, lone_surrogates: bool = False) -> Any:
    """Returns what JSON holds. Raises TooLarge for more than any valid request has, and Refused for what is not JSON.

    With `lone_surrogates`, escapes of half a surrogate pair are read in small bodies, so that the schema can say where
    one is.
    """
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
        if lone_surrogates and len(content) <= LARGE_BYTES and "hex escape" in str(error):
            try:
                return json.loads(content)
            except (ValueError, RecursionError):
                pass
        raise problem.Refused(problem.not_json(str(error))) from None

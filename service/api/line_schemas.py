"""Schemas of newline-delimited JSON: the lines of a request, and the lines of its answer."""

from typing import Annotated, Any, TypeGuard

from pydantic import BaseModel, Field, PlainValidator
from pydantic_core import PydanticCustomError

from service.api import answer_schemas, request_schemas
from service.api.request_schemas import Strict
from service.api.texts import has_lone_surrogates
from service.http.problem import Problem

MEDIA_TYPE = "application/x-ndjson"
LONGEST_ID = 128  # characters
LARGEST_ID = 2**53 - 1  # positive or negative; larger ones are not exact in JavaScript
Id = str | int
REQUEST_TEXT = (
    "A JSON object per line, each a whole body, answered by one line, in order. Blank lines are skipped and have no"
    " answer."
)
ANSWER_TEXT = "A JSON object per line: the answer of the request's line in its place, or a problem document as `error`."


def _is_id(value: object) -> TypeGuard[Id]:
    if type(value) is str:
        return len(value) <= LONGEST_ID and not has_lone_surrogates(value)
    return type(value) is int and abs(value) <= LARGEST_ID


def _checked_id(value: object) -> object:
    if not _is_id(value):
        message = "Input should be an integer from {least} to {most}, or a string of at most {length} characters"
        raise PydanticCustomError("id", message, {"least": -LARGEST_ID, "most": LARGEST_ID, "length": LONGEST_ID})
    return value


def id_of(value: object) -> dict[str, Id]:
    """Returns the member `id` of a parsed line, or no member if the line has no valid one."""
    id = value.get("id") if isinstance(value, dict) else None
    return {"id": id} if _is_id(id) else {}


_ID_FORMS = Annotated[str, Field(max_length=LONGEST_ID)] | Annotated[int, Field(ge=-LARGEST_ID, le=LARGEST_ID)]
LineId = Annotated[Id, PlainValidator(_checked_id, json_schema_input_type=_ID_FORMS)]


class Line(Strict):
    """A line of any task."""

    id: LineId | None = Field(None, description="Returned with the line's answer.", examples=["review-7"])


class TagLine(request_schemas.TagRequest, Line):
    """A line to /tag: texts or tokens, and an id."""


class ClassifyLine(request_schemas.ClassifyRequest, Line):
    """A line to /classify: texts, and an id."""


class GenerateLine(request_schemas.GenerateRequest, Line):
    """A line to /generate: prompts, and an id."""


class AnswerLine(BaseModel):
    """The answer to a line of any task."""

    id: LineId | None = Field(None, description="That of the request's line, if it has one.", examples=["review-7"])


class TagAnswerLine(answer_schemas.TagAnswer, AnswerLine):
    """The answer to a line of /tag."""


class ClassifyAnswerLine(answer_schemas.ClassifyAnswer, AnswerLine):
    """The answer to a line of /classify."""


class GenerateAnswerLine(answer_schemas.GenerateAnswer, AnswerLine):
    """The answer to a line of /generate."""


class ErrorLine(AnswerLine):
    """The answer to a line that failed."""

    error: Problem = Field(description="What is wrong.")


SCHEMAS: dict[type[BaseModel], None] = {ErrorLine: None}  # for the OpenAPI document; `operation` adds to it


def operation(line: type[BaseModel], answer: type[BaseModel]) -> dict[str, Any]:
    """Returns the `openapi_extra` of a route that takes lines, and adds their schemas to the OpenAPI document."""
    SCHEMAS.update({line: None, answer: None})
    return {
        "requestBody": {"content": {MEDIA_TYPE: _content(REQUEST_TEXT, line)}},
        "responses": {"200": {"content": {MEDIA_TYPE: _content(ANSWER_TEXT, answer, ErrorLine)}}},
    }


def _content(description: str, *items: type[BaseModel]) -> dict[str, Any]:
    lines = {"anyOf": [{"$ref": f"#/components/schemas/{item.__name__}"} for item in items]}
    content = {"contentMediaType": MEDIA_TYPE, "contentSchema": {"type": "array", "items": lines}}
    return {"schema": {"type": "string", "description": description, **content}}

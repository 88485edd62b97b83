"""The lines of newline-delimited JSON: each is a whole body, and may have an id."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Annotated, Any, TypeGuard, TypeVar

from pydantic import BaseModel, Field, PlainValidator, create_model
from pydantic_core import PydanticCustomError

from service.api.request_schemas import Strict
from service.pipelines.run import PipelineRun

MEDIA_TYPE = "application/x-ndjson"
LONGEST_ID = 128  # characters
LARGEST_ID = 2**53 - 1  # positive or negative; larger ones are not exact in JavaScript
Id = str | int
Work = Callable[[PipelineRun, Any], Awaitable[list[bytes]]]  # from a run and a line's body to its answer in pieces
E = TypeVar("E", bound=Callable[..., Any])
REQUEST_TEXT = (
    "A JSON object per line, each a whole body, answered by one line, in order. A member `id`, an integer or a string,"
    " is returned with the answer. Blank lines are skipped and have no answer."
)
ANSWER_TEXT = "A JSON object per line: the answer of the request's line in its place, or a problem document as `error`."
OPENAPI = {
    "requestBody": {"content": {MEDIA_TYPE: {"schema": {"type": "string", "description": REQUEST_TEXT}}}},
    "responses": {"200": {"content": {MEDIA_TYPE: {"schema": {"type": "string", "description": ANSWER_TEXT}}}}},
}


def takes_lines(work: Work) -> Callable[[E], E]:
    """Lets the endpoint of a `JsonRoute` also take newline-delimited JSON; `work` answers a line."""

    def mark(endpoint: E) -> E:
        endpoint.work = work  # type: ignore[attr-defined]
        return endpoint

    return mark


def _is_id(value: object) -> TypeGuard[Id]:
    if type(value) is str:
        return len(value) <= LONGEST_ID
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


class Line(Strict):
    """What a line has besides the fields of a body."""

    id: Annotated[Id, PlainValidator(_checked_id)] | None = Field(None, description="Returned with the line's answer.")


@cache
def line_of(schema: type[BaseModel]) -> type[BaseModel]:
    """Returns the schema of a line whose body has the given schema."""
    return create_model(f"{schema.__name__}Line", __base__=(schema, Line), __doc__=schema.__doc__)

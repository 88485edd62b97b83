"""Errors to answers: RFC 9457 problem documents. One table says which status an error has."""

import http
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from service import errors
from service.api.context import timing_of
from service.api.timing import Timing

MEDIA_TYPE = "application/problem+json"

# class of error -> status, slug of its type, title. The first class that fits is taken.
TABLE: tuple[tuple[type[errors.TagwerkError], int, str, str], ...] = (
    (errors.TooLarge, 413, "too-large", "The request is over a limit"),
    (errors.InvalidInput, 422, "invalid-input", "The request is not valid"),
    (errors.ModelNotFound, 404, "model-not-found", "There is no such model"),
    (errors.Unauthorized, 401, "unauthorized", "The request has no key that is known"),
    (errors.Forbidden, 403, "forbidden", "The key is not for this"),
    (errors.NotPossible, 409, "not-possible", "The service is not set up for this"),
    (errors.RateLimited, 429, "rate-limited", "The key is over its limits"),
    (errors.Overloaded, 429, "overloaded", "The service has more work than it takes"),
    (errors.ClientGone, 499, "client-gone", "The client has gone"),
    (errors.DeadlineExceeded, 504, "deadline-exceeded", "The answer was not there in time"),
    (errors.EngineUnavailable, 503, "engine-unavailable", "The service is not ready"),
    (errors.DeviceFailed, 500, "device-failed", "The device failed"),
    (errors.TagwerkError, 500, "internal", "The service failed"),
)
# status -> slug, title of what goes wrong before anything of this project is asked
HTTP = {
    400: ("invalid-json", "The body is not valid JSON"),
    404: ("not-found", "There is nothing at this path"),
    405: ("method-not-allowed", "The method is not for this path"),
    406: ("not-acceptable", "The answer has no form that the client accepts"),
    408: ("request-timeout", "The request did not arrive in time"),
    415: ("unsupported-media-type", "The body is in a form that is not read here"),
    431: ("headers-too-large", "The headers are over the limit"),
}
INVALID_HTTP = ("invalid-http", "The request is not valid HTTP")
# type of Pydantic's error -> what is allowed, where its own message says it less well
ALLOWED = {
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
}
STAGES = {
    "tokenize": "tokenizing",
    "engine": "the queue and the device",
    "queue": "waiting for the device",
    "inference": "the device's work",
}
RETRY_AFTER_SECONDS = 1  # while the engine is not there

PREFIX = "urn:tagwerk:problem:"


class FieldProblem(BaseModel):
    """A place in the request and what is wrong there."""

    pointer: str = Field(description="JSON pointer (RFC 6901) to the place.", examples=["/text/1"])
    problem: str = Field(description="What is wrong.", examples=["got 7"])
    allowed: str = Field(description="What would be right.", examples=["a valid string"])


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="Stable identifier of the kind of problem.", examples=[PREFIX + "invalid-input"])
    title: str = Field(description="The kind in words.", examples=["The request is not valid"])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(
        description="What happened, and what would be right.",
        examples=["/text/1: got 7; allowed: a valid string"],
    )
    errors: list[FieldProblem] = Field(
        default=[],
        description="What is wrong, place by place.",
        examples=[[{"pointer": "/text/1", "problem": "got 7", "allowed": "a valid string"}]],
    )
    error: Any = Field(
        default=None,
        description="Below /v1 and /v2 alone: the same as clients of these protocols read it.",
        examples=[{"message": "...", "type": "invalid_request_error", "param": "prompt", "code": "invalid_input"}],
    )
    timing_ms: dict[str, float] | None = Field(
        default=None,
        description="Where the time went, in milliseconds by stage, when the deadline has passed.",
        examples=[{"tokenize": 0.41, "engine": 99.7}],
    )


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": title, "content": {MEDIA_TYPE: {}}}
    for status, title in (
        *((status, title) for status, (_, title) in HTTP.items() if status not in (404, 405)),
        *((status, title) for _, status, _, title in TABLE if status not in (499, 500)),
    )
}


class Refused(Exception):  # noqa: N818 (says what happened)
    """A body that cannot be worked on, with its problem document."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__(document["detail"])
        self.document = document


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item of a list that cannot be worked on, with its problem document; the others can."""

    document: dict[str, Any]


T = TypeVar("T")


def all_accepted(items: Iterable[T | Rejected]) -> list[T]:
    """Returns the items, for an answer that has no place for the error of one. Raises Refused if one is rejected."""
    accepted: list[T] = []
    for item in items:
        if isinstance(item, Rejected):
            raise Refused(item.document)
        accepted.append(item)
    return accepted


def make(status: int, slug: str, title: str, detail: str, **members: Any) -> dict[str, Any]:
    """Returns a problem document, with further members where they hold something."""
    content = {"type": PREFIX + slug, "title": title, "status": status, "detail": detail}
    return content | {name: value for name, value in members.items() if value}


UNEXPECTED = make(500, "internal", "The service failed", "an unexpected error, which the log describes")


def document(error: errors.TagwerkError, timing: Timing | None = None) -> dict[str, Any]:
    """Returns the problem document of one of the project's own errors; `timing` is that of its request."""
    status, slug, title = next((s, g, t) for cls, s, g, t in TABLE if isinstance(error, cls))
    detail = str(error)
    if isinstance(error, errors.InvalidInput):
        place = {"pointer": error.field, "problem": error.problem, "allowed": error.allowed}
        return make(status, slug, title, detail, errors=[place])
    if isinstance(error, errors.DeadlineExceeded) and timing is not None:
        spent = {stage: round(seconds * 1000, 3) for stage, seconds in timing.stages.items()}
        detail += "".join(f"; {STAGES[stage]} took {ms:g} ms" for stage, ms in spent.items())
        return make(status, slug, title, detail, timing_ms=spent)
    return make(status, slug, title, detail)


def not_json(detail: str) -> dict[str, Any]:
    """Returns the document for a body that is not JSON."""
    return make(400, *HTTP[400], detail)


def not_valid(faults: Sequence[Mapping[str, Any]], body: object) -> dict[str, Any]:
    """Returns the document for a body that breaks its schema, from what Pydantic finds wrong with it."""
    places = [_place(fault, body) for fault in faults]
    detail = "; ".join(f"{p['pointer'] or 'the body'}: {p['problem']}; allowed: {p['allowed']}" for p in places[:3])
    return make(422, "invalid-input", "The request is not valid", detail, errors=places)


def worded(path: str, content: dict[str, Any]) -> dict[str, Any]:
    """Returns a document, with a member `error` where the clients of a path's protocol look for one."""
    if path.startswith("/v1/"):
        place = content.get("errors", [{"pointer": ""}])[0]["pointer"]
        param = place.strip("/").split("/")[0] or None
        slug = content["type"].removeprefix(PREFIX).replace("-", "_")
        kind = "server_error" if content["status"] >= 500 else "invalid_request_error"
        return content | {"error": {"message": content["detail"], "type": kind, "param": param, "code": slug}}
    return content | {"error": content["detail"]} if path.startswith("/v2") else content


def respond(path: str, content: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Returns a document as a response."""
    # What a client sent may hold lone surrogates, which have no place in UTF-8.
    return Response(json.dumps(worded(path, content)).encode(), content["status"], headers, MEDIA_TYPE)


def unexpected(path: str) -> Response:
    """Returns the response for an error that nobody thought of."""
    return respond(path, UNEXPECTED)


def refuse(path: str, error: errors.TagwerkError) -> Response:
    """Returns the response for an error of those that are the project's own."""
    return respond(path, document(error), headers_of(error))


def too_large_head(path: str) -> Response:
    """Returns the response for headers over the limit."""
    return respond(path, make(431, *HTTP[431], "at most TAGWERK_MAX_HEADER_BYTES in all"), {"Connection": "close"})


def headers_of(error: errors.TagwerkError) -> dict[str, str]:
    """Returns the headers that belong to an error."""
    if isinstance(error, errors.Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.Overloaded | errors.RateLimited):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_seconds)))}
    if isinstance(error, errors.EngineUnavailable):
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}


def install(app: FastAPI) -> None:
    """Lets the app answer every error with a problem document; `Envelope` answers those that nobody thought of."""
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)


async def answer(request: Request, error: Exception) -> Response:
    """Returns the problem document for one of the errors that are `EXPECTED`."""
    handler = next(handler for kind, handler in _HANDLERS.items() if isinstance(error, kind))
    return await handler(request, error)


async def _own(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.TagwerkError)  # noqa: S101 (registered for it)
    return respond(request.url.path, document(error, timing_of(request)), headers_of(error))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 (registered for it)
    return respond(request.url.path, error.document)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (registered for it)
    faults = error.errors()
    broken = next((fault for fault in faults if fault["type"] == "json_invalid"), None)
    if broken is not None:
        return respond(request.url.path, not_json(f"{broken['ctx']['error']} at character {broken['loc'][-1]}"))
    places = [{**fault, "loc": fault["loc"][1:]} for fault in faults]  # without its first part, "body"
    return respond(request.url.path, not_valid(places, error.body))


def _place(fault: Mapping[str, Any], body: object) -> dict[str, str]:
    pointer = _pointer(fault["loc"], body)
    if fault["type"] == "extra_forbidden":
        return {"pointer": pointer, "problem": "unknown field", "allowed": "the fields in /docs"}
    if fault["type"] == "missing":
        return {"pointer": pointer, "problem": "missing", "allowed": "this field is required"}
    limits = fault.get("ctx", {})
    allowed = ALLOWED.get(fault["type"], "{}").format(fault["msg"].removeprefix("Input should be "), **limits)
    return {"pointer": pointer, "problem": f"got {_describe(fault.get('input'))}", "allowed": allowed}


def _pointer(location: Sequence[str | int], body: object) -> str:
    """Returns the JSON pointer of a place. It ends where the body does: a lone string stands for a list of one."""
    pointer = ""
    for step in location:
        if not isinstance(body, dict | list):
            break
        pointer += "/" + str(step).replace("~", "~0").replace("/", "~1")
        body = body.get(step) if isinstance(body, dict) else body[step] if isinstance(step, int) else None
    return pointer


def _describe(value: object) -> str:
    """Says what a value is, without repeating a long one."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)[:40]
        case str():
            return f"a string of {len(value)} characters" if value else "an empty string"
        case list():
            return f"a list of {len(value)} items"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for it)
    if isinstance(error.__cause__, errors.TagwerkError):  # raised while FastAPI read the body
        return await _own(request, error.__cause__)
    status, path, headers = error.status_code, request.url.path, dict(error.headers or {})
    phrase = http.HTTPStatus(status).phrase
    slug, title = HTTP.get(status, (phrase.lower().replace(" ", "-"), phrase))
    detail = str(error.detail)
    if status == 400:
        detail = "the body could not be read as JSON in UTF-8, or is nested too deeply"
    if status == 404:
        detail = f"there is nothing at {path}; /docs lists what there is"
    if status == 405:
        detail = f"{request.method} is not for {path}; allowed: {headers.get('Allow', '')}"
    return respond(path, make(status, slug, title, detail), headers)


_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    errors.TagwerkError: _own,
    Refused: _refused,
    RequestValidationError: _validation,
    HTTPException: _http,
}
EXPECTED = tuple(_HANDLERS)
REFUSALS = (errors.Unauthorized, errors.Forbidden, errors.RateLimited)  # before anything is asked

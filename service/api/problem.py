"""Errors to answers: RFC 9457 problem documents. One table says which status an error has."""

import http
import json
import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from service import errors
from service.api.schemas import Problem

MEDIA_TYPE = "application/problem+json"

# class of error -> status, slug of its type, title. The first class that fits is taken.
TABLE: tuple[tuple[type[errors.TagwerkError], int, str, str], ...] = (
    (errors.TooLarge, 413, "too-large", "The request is over a limit"),
    (errors.InvalidInput, 422, "invalid-input", "The request is not valid"),
    (errors.ModelNotFound, 404, "model-not-found", "There is no such model"),
    (errors.Overloaded, 429, "overloaded", "The service has more work than it takes"),
    (errors.ClientGone, 499, "client-gone", "The client has gone"),
    (errors.DeadlineExceeded, 504, "deadline-exceeded", "The answer was not there in time"),
    (errors.EngineUnavailable, 503, "engine-unavailable", "The service is not ready"),
    (errors.DeviceFailed, 500, "device-failed", "The device failed"),
    (errors.TagwerkError, 500, "internal", "The service failed"),
)
# type of Pydantic's error -> what is allowed, where its own message says it less well
ALLOWED = {
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
}
RETRY_AFTER_SECONDS = 1  # while the engine is not there

RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": title, "content": {MEDIA_TYPE: {}}}
    for status, title in (
        (400, "The body is not JSON in UTF-8"),
        *((status, title) for _, status, _, title in TABLE if status not in (499, 500)),
    )
}


def problem(
    status: int,
    slug: str,
    title: str,
    detail: str,
    places: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Returns a problem document."""
    content: dict[str, Any] = {
        "type": f"urn:tagwerk:problem:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if places:
        content["errors"] = places
    # What a client sent may hold lone surrogates, which have no place in UTF-8.
    return Response(json.dumps(content).encode(), status, headers, MEDIA_TYPE)


def from_error(error: errors.TagwerkError) -> Response:
    """Returns the problem document of one of the project's own errors."""
    status, slug, title = next((s, g, t) for cls, s, g, t in TABLE if isinstance(error, cls))
    places, headers = None, {}
    if isinstance(error, errors.InvalidInput):
        places = [{"pointer": error.field, "problem": error.problem, "allowed": error.allowed}]
    if isinstance(error, errors.Overloaded):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
    if isinstance(error, errors.EngineUnavailable):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return problem(status, slug, title, str(error), places, headers)


def install(app: FastAPI) -> None:
    """Lets the app answer every error with a problem document."""
    app.add_exception_handler(errors.TagwerkError, _own)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _own(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.TagwerkError)  # noqa: S101 (registered for it)
    return from_error(error)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (registered for it)
    faults = error.errors()
    for fault in faults:
        if fault["type"] == "json_invalid":
            where = f"{fault['ctx']['error']} at character {fault['loc'][-1]}"
            return problem(400, "invalid-json", "The body is not valid JSON", where)
    places = [_place(fault, error.body) for fault in faults]
    detail = "; ".join(f"{p['pointer'] or 'the body'}: {p['problem']}; allowed: {p['allowed']}" for p in places[:3])
    return problem(422, "invalid-input", "The request is not valid", detail, places)


def _place(fault: dict[str, Any], body: object) -> dict[str, str]:
    pointer = _pointer(fault["loc"], body)
    if fault["type"] == "extra_forbidden":
        return {"pointer": pointer, "problem": "unknown field", "allowed": "the fields in /docs"}
    if fault["type"] == "missing":
        return {"pointer": pointer, "problem": "missing", "allowed": "this field is required"}
    limits = fault.get("ctx", {})
    allowed = ALLOWED.get(fault["type"], "{}").format(fault["msg"].removeprefix("Input should be "), **limits)
    return {"pointer": pointer, "problem": f"got {_describe(fault.get('input'))}", "allowed": allowed}


def _pointer(location: tuple[str | int, ...], body: object) -> str:
    """Returns the JSON pointer of a place. It ends where the body does: a lone string stands for a list of one."""
    part, *path = location
    pointer = "" if part == "body" else f"/{part}"
    for step in path:
        if part == "body" and not isinstance(body, dict | list):
            break
        pointer += "/" + str(step).replace("~", "~0").replace("/", "~1")
        if isinstance(body, dict):
            body = body.get(step)
        elif isinstance(body, list) and isinstance(step, int):
            body = body[step]
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
        return from_error(error.__cause__)
    if error.status_code == 400:
        detail = "the body could not be read as JSON in UTF-8, or is nested too deeply"
        return problem(400, "invalid-json", "The body is not valid JSON", detail)
    phrase = http.HTTPStatus(error.status_code).phrase
    slug = phrase.lower().replace(" ", "-")
    detail = str(error.detail)
    if error.status_code == 404:
        detail = f"there is nothing at {request.url.path}; /docs lists what there is"
    if error.status_code == 405:
        detail = f"{request.method} is not for {request.url.path}; allowed: {(error.headers or {}).get('Allow', '')}"
    return problem(error.status_code, slug, phrase, detail, headers=dict(error.headers or {}))


async def _unexpected(request: Request, error: Exception) -> Response:
    return problem(500, "internal", "The service failed", "an unexpected error, which the log describes")

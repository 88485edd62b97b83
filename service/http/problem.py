"""Maps errors to RFC 9457 problem documents. One table assigns each error class a status."""

import http
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from typing_extensions import TypeAliasType

from service import errors
from service.http.context import timing_of
from service.telemetry.timing import Timing

MEDIA_TYPE = "application/problem+json"
MAX_HEAD_BYTES = 32_768  # of the headers of a request, its path included, and of its trailers

OVERLOADED = ("overloaded", "The queue is full")
# class of error -> status, slug of its type, title. The first matching class applies.
TABLE: tuple[tuple[type[errors.TagwerkError], int, str, str], ...] = (
    (errors.TooLarge, 413, "too-large", "The request is over a limit"),
    (errors.InvalidInput, 422, "invalid-input", "The request is not valid"),
    (errors.ModelNotFound, 404, "model-not-found", "There is no such model"),
    (errors.Unauthorized, 401, "unauthorized", "Missing or unknown API key"),
    (errors.Forbidden, 403, "forbidden", "Missing scope"),
    (errors.NotPossible, 409, "not-possible", "The service is not set up for this"),
    (errors.RateLimited, 429, "rate-limited", "The key is over its limits"),
    (errors.Overloaded, 429, *OVERLOADED),
    (errors.ClientGone, 499, "client-gone", "Client disconnected"),
    (errors.DeadlineExceeded, 504, "deadline-exceeded", "Deadline exceeded"),
    (errors.EngineUnavailable, 503, "engine-unavailable", "The service is not ready"),
    (errors.DeviceFailed, 500, "device-failed", "The device failed"),
    (errors.TagwerkError, 500, "internal", "The service failed"),
)
# status -> slug, title of errors of HTTP itself
HTTP = {
    400: ("invalid-json", "The body is not valid JSON"),
    404: ("not-found", "There is nothing at this path"),
    405: ("method-not-allowed", "The method is not allowed for this path"),
    406: ("not-acceptable", "No acceptable media type"),
    408: ("request-timeout", "The request did not arrive in time"),
    415: ("unsupported-media-type", "Unsupported media type"),
    431: ("headers-too-large", "The headers are over the limit"),
    501: ("unsupported-transfer-coding", "Unsupported transfer coding"),
}
NO_WEBSOCKET = ("no-websocket", "WebSocket is not supported")
INVALID_HTTP = ("invalid-http", "The request is not valid HTTP")
STAGES = {
    "tokenize": "tokenizing",
    "engine": "the queue and the device",
    "queue": "waiting for the device",
    "inference": "the device's work",
}
RETRY_AFTER = {"Retry-After": "1"}  # seconds, for every 503: the actual duration is unknown

PREFIX = "urn:tagwerk:problem:"


class FieldProblem(BaseModel):
    """An invalid location in the request."""

    pointer: str = Field(description="JSON pointer (RFC 6901) to the place.", examples=["/text/1"])
    problem: str = Field(description="What is wrong.", examples=["got 7"])
    allowed: str = Field(description="What would be right.", examples=["a valid string"])


StageTimes = TypeAliasType(
    "StageTimes",
    Annotated[dict[str, float], Field(description="Milliseconds by stage.")],
)


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
        description="What is wrong, place by place; at most the first 20 places.",
        examples=[[{"pointer": "/text/1", "problem": "got 7", "allowed": "a valid string"}]],
    )
    error_count: int | None = Field(
        default=None, description="How many places are wrong, those that `errors` leaves out included.", examples=[1]
    )
    error: Any = Field(
        default=None,
        description="Below /v1 and /v2 alone: the same as clients of these protocols read it.",
        examples=[{"message": "...", "type": "invalid_request_error", "param": "prompt", "code": "invalid_input"}],
    )
    timing_ms: StageTimes | None = Field(
        default=None,
        description="Where the time went, in milliseconds by stage, when the deadline has passed.",
        examples=[{"tokenize": 0.41, "engine": 99.7}],
    )


class Refused(Exception):  # noqa: N818 (says what happened)
    """An invalid body, with its problem document."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__(document["detail"])
        self.document = document


def make(status: int, slug: str, title: str, detail: str, **members: Any) -> dict[str, Any]:
    """Builds a problem document; omits further members that are empty."""
    content = {"type": PREFIX + slug, "title": title, "status": status, "detail": detail}
    return content | {name: value for name, value in members.items() if value}


UNEXPECTED = make(500, "internal", "The service failed", "an unexpected error, which the log describes")


def document(error: errors.TagwerkError, timing: Timing | None = None) -> dict[str, Any]:
    """Builds the problem document of one of the project's errors; `timing` is its request's."""
    status, slug, title = next((s, g, t) for cls, s, g, t in TABLE if isinstance(error, cls))
    detail = str(error)
    if isinstance(error, errors.InvalidInput):
        place = {"pointer": error.field, "problem": error.problem, "allowed": error.allowed}
        return make(status, slug, title, detail, errors=[place], error_count=1)
    if isinstance(error, errors.DeadlineExceeded) and timing is not None:
        spent = {stage: round(seconds * 1000, 3) for stage, seconds in timing.stages.items()}
        detail += "".join(f"; {STAGES[stage]} took {ms:g} ms" for stage, ms in spent.items())
        return make(status, slug, title, detail, timing_ms=spent)
    return make(status, slug, title, detail)


def not_json(detail: str) -> dict[str, Any]:
    """Builds the document for a body that is not JSON."""
    return make(400, *HTTP[400], detail)


def late(seconds: float) -> dict[str, Any]:
    """Builds the document for a request that did not arrive in time."""
    return make(408, *HTTP[408], f"the request was not complete within {seconds:g} s (TAGWERK_RECEIVE_TIMEOUT_SECONDS)")


def invalid(detail: str, places: list[dict[str, str]], count: int) -> dict[str, Any]:
    """Builds the document for a body with `count` schema violations, of which the first are given."""
    return make(422, "invalid-input", "The request is not valid", detail, errors=places, error_count=count)


def with_protocol_error(path: str, content: dict[str, Any]) -> dict[str, Any]:
    """Adds the member `error` that clients of a path's protocol expect."""
    if path.startswith("/v1/"):
        place = content.get("errors", [{"pointer": ""}])[0]["pointer"]
        param = place.strip("/").split("/")[0] or None
        slug = content["type"].removeprefix(PREFIX).replace("-", "_")
        kind = "server_error" if content["status"] >= 500 else "invalid_request_error"
        return content | {"error": {"message": content["detail"], "type": kind, "param": param, "code": slug}}
    return content | {"error": content["detail"]} if path.startswith("/v2") else content


def respond(path: str, content: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Returns a document as a response."""
    # ASCII JSON: a client's text may hold lone surrogates, which UTF-8 cannot encode.
    return Response(json.dumps(with_protocol_error(path, content)).encode(), content["status"], headers, MEDIA_TYPE)


def unexpected(path: str) -> Response:
    """Returns the response for an unexpected error."""
    return respond(path, UNEXPECTED)


def refuse(path: str, error: errors.TagwerkError) -> Response:
    """Returns the response for one of the project's errors."""
    return respond(path, document(error), headers_of(error))


def too_large_head(path: str) -> Response:
    """Returns the response for headers over the limit."""
    return respond(path, make(431, *HTTP[431], f"at most {MAX_HEAD_BYTES} bytes in all"), {"Connection": "close"})


def no_websocket(path: str) -> Response:
    """Returns the response for a WebSocket upgrade."""
    return respond(path, make(400, *NO_WEBSOCKET, "send the request without `Upgrade: websocket`; /docs lists how"))


def headers_of(error: errors.TagwerkError) -> dict[str, str]:
    """Returns the headers that belong to an error."""
    if isinstance(error, errors.Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.Overloaded | errors.RateLimited):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_seconds)))}
    if isinstance(error, errors.EngineUnavailable):
        return RETRY_AFTER
    return {}


def install(app: FastAPI) -> None:
    """Registers the handlers of expected errors, and of unexpected ones, which `AuthenticationMiddleware` logs."""
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_exception_handler(Exception, _unexpected)


async def answer(request: Request, error: Exception) -> Response:
    """Returns the problem document for one of the `EXPECTED` errors."""
    handler = next(handler for kind, handler in _HANDLERS.items() if isinstance(error, kind))
    return await handler(request, error)


async def _own(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.TagwerkError)  # noqa: S101 (registered for it)
    return respond(request.url.path, document(error, timing_of(request)), headers_of(error))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 (registered for it)
    return respond(request.url.path, error.document)


async def _unexpected(request: Request, error: Exception) -> Response:
    return unexpected(request.url.path)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for it)
    status, path, headers = error.status_code, request.url.path, dict(error.headers or {})
    phrase = http.HTTPStatus(status).phrase
    slug, title = HTTP.get(status, (phrase.lower().replace(" ", "-"), phrase))
    detail = str(error.detail)
    if status == 404:
        shorter = path.rstrip("/")
        similar = f"did you mean {shorter}? " if shorter and shorter != path else ""
        detail = f"there is nothing at {path}; {similar}/docs lists what there is"
    if status == 405:
        headers["Allow"] = allowed(headers.get("Allow", ""))
        detail = f"{request.method} is not for {path}; allowed: {headers['Allow']}"
    return respond(path, make(status, slug, title, detail), headers)


def allowed(methods: str) -> str:
    """Returns the value of an Allow header, with HEAD for GET, which `TaskDispatcher` answers."""
    names = {name.strip() for name in methods.split(",")}
    return ", ".join(sorted(names | {"HEAD"} if "GET" in names else names))


_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    errors.TagwerkError: _own,
    Refused: _refused,
    HTTPException: _http,
}
EXPECTED = tuple(_HANDLERS)
REFUSALS = (errors.Unauthorized, errors.Forbidden, errors.RateLimited)  # raised by authentication

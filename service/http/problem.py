"""Maps errors to RFC 9457 problem documents. One table assigns each error class a status."""

import http
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from typing_extensions import TypeAliasType

from service import errors
from service.http.context import context_of, timing_of
from service.paths import OPEN_INFERENCE, OPENAI
from service.telemetry.metrics import Metrics
from service.telemetry.request import Timing

MEDIA_TYPE = "application/problem+json"
MAX_HEAD_BYTES = 32_768  # of the headers of a request, its path included, and of its trailers

CLIENT_GONE = 499  # status, in the log and the metrics, of a request whose client has gone
# class of error -> status, slug of its type, title. The first matching class applies.
TABLE: tuple[tuple[type[errors.TagwerkError], int, str, str], ...] = (
    (errors.TooLarge, 413, "too-large", "The request is over a limit"),
    (errors.InvalidJson, 400, "invalid-json", "The body is not valid JSON"),
    (errors.InvalidInput, 422, "invalid-input", "The request is not valid"),
    (errors.NotReceived, 408, "request-timeout", "The request did not arrive in time"),
    (errors.ModelNotFound, 404, "model-not-found", "There is no such model"),
    (errors.Unauthorized, 401, "unauthorized", "Missing or unknown API key"),
    (errors.Forbidden, 403, "forbidden", "Not allowed"),
    (errors.NotStored, 507, "not-stored", "The correction is not stored"),
    (errors.NotPossible, 409, "not-possible", "The service is not set up for this"),
    (errors.RateLimited, 429, "rate-limited", "The key is over its limits"),
    (errors.Overloaded, 429, "overloaded", "The queue is full"),
    (errors.ClientGone, CLIENT_GONE, "client-gone", "Client disconnected"),
    (errors.DeadlineExceeded, 504, "deadline-exceeded", "Deadline exceeded"),
    (errors.EngineUnavailable, 503, "engine-unavailable", "The service is not ready"),
    (errors.DeviceFailed, 500, "device-failed", "The device failed"),
    (errors.TagwerkError, 500, "internal", "The service failed"),
)
# status -> slug, title of errors of HTTP itself
HTTP = {
    400: ("invalid-http", "The request is not valid HTTP"),
    404: ("not-found", "There is nothing at this path"),
    405: ("method-not-allowed", "The method is not allowed for this path"),
    406: ("not-acceptable", "No acceptable media type"),
    415: ("unsupported-media-type", "Unsupported media type"),
    431: ("headers-too-large", "The headers are over the limit"),
    501: ("unsupported-transfer-coding", "Unsupported transfer coding"),
}
WEBSOCKET = ("no-websocket", "WebSocket is not supported")
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


StageTimes = TypeAliasType("StageTimes", Annotated[dict[str, float], Field(description="Milliseconds by stage.")])


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="Stable identifier of the kind of problem.", examples=[PREFIX + "invalid-input"])
    title: str = Field(description="The kind in words.", examples=["The request is not valid"])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(
        description="What happened, and what would be right.", examples=["/text/1: got 7; allowed: a valid string"]
    )
    errors: list[FieldProblem] = Field(
        default=[],
        description="What is wrong, place by place; at most the first 20 places.",
        examples=[[{"pointer": "/text/1", "problem": "got 7", "allowed": "a valid string"}]],
    )
    error_count: int | None = Field(default=None, description="How many places are wrong in all.", examples=[1])
    error: Any = Field(
        default=None,
        description="Below /v1 and /v2 alone: the problem in the form that clients of these protocols read.",
        examples=[{"message": "...", "type": "invalid_request_error", "param": "prompt", "code": "invalid_input"}],
    )
    timing_ms: StageTimes | None = Field(
        default=None,
        description="Where the time went, in milliseconds by stage, when the deadline has passed.",
        examples=[{"tokenize": 0.41, "engine": 99.7}],
    )


def make(status: int, slug: str, title: str, detail: str, **members: Any) -> dict[str, Any]:
    """Builds a problem document; leaves out empty members."""
    content = {"type": PREFIX + slug, "title": title, "status": status, "detail": detail}
    return content | {name: value for name, value in members.items() if value}


Expected = errors.TagwerkError | HTTPException
EXPECTED = (errors.TagwerkError, HTTPException)
LARGE_HEAD = HTTPException(431, f"at most {MAX_HEAD_BYTES} bytes in all")
NO_WEBSOCKET = make(400, *WEBSOCKET, "send the request without `Upgrade: websocket`; /docs lists how")
UNEXPECTED = make(500, "internal", "The service failed", "an unexpected error, which the log describes")


def document(error: Expected, timing: Timing | None = None) -> dict[str, Any]:
    """Builds the problem document of an error; `timing` is its request's."""
    if isinstance(error, HTTPException):
        phrase = http.HTTPStatus(error.status_code).phrase
        slug, title = HTTP.get(error.status_code, (phrase.lower().replace(" ", "-"), phrase))
        return make(error.status_code, slug, title, str(error.detail))
    status, slug, title = next((s, g, t) for cls, s, g, t in TABLE if isinstance(error, cls))
    detail = str(error)
    if isinstance(error, errors.InvalidInput):
        return make(status, slug, title, detail, errors=error.fields, error_count=error.count)
    if isinstance(error, errors.DeadlineExceeded) and timing is not None:
        spent = {stage: round(seconds * 1000, 3) for stage, seconds in timing.stages.items()}
        detail += "".join(f"; {STAGES[stage]} took {ms:g} ms" for stage, ms in spent.items())
        return make(status, slug, title, detail, timing_ms=spent)
    return make(status, slug, title, detail)


def report(error: Exception, metrics: Metrics, timing: Timing | None = None) -> dict[str, Any]:
    """Builds the problem document of an error that ends a request; counts rejected and expired requests.

    An error that is none of the `EXPECTED` is logged by the caller.
    """
    if not isinstance(error, EXPECTED):
        return UNEXPECTED
    match error:
        case errors.Overloaded():
            metrics.rejected.labels("overloaded").inc()
        case errors.RateLimited():
            metrics.rejected.labels("rate-limited").inc()
        case errors.DeadlineExceeded():
            metrics.expired.inc()
            if timing is not None:
                timing.stages |= error.stages
    return document(error, timing)


def with_protocol_error(path: str, content: dict[str, Any]) -> dict[str, Any]:
    """Adds the member `error` that clients of a path's protocol expect."""
    if path.startswith(f"{OPENAI}/"):
        place = content.get("errors", [{"pointer": ""}])[0]["pointer"]
        param = place.strip("/").split("/")[0] or None
        slug = content["type"].removeprefix(PREFIX).replace("-", "_")
        kind = "server_error" if content["status"] >= 500 else "invalid_request_error"
        return content | {"error": {"message": content["detail"], "type": kind, "param": param, "code": slug}}
    return content | {"error": content["detail"]} if path.startswith(OPEN_INFERENCE) else content


def respond(path: str, content: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Returns a document as a response."""
    # ASCII JSON: a client's text may hold lone surrogates, which UTF-8 cannot encode.
    return Response(json.dumps(with_protocol_error(path, content)).encode(), content["status"], headers, MEDIA_TYPE)


def error_headers(error: Exception) -> Mapping[str, str]:
    """Returns the headers that belong to an error."""
    match error:
        case HTTPException():
            return error.headers or {}
        case errors.Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
        case errors.TryLater():
            return {"Retry-After": str(max(1, math.ceil(error.retry_after_seconds)))}
        case errors.EngineUnavailable():
            return RETRY_AFTER
    return {}


async def answer(request: Request, error: Exception) -> Response:
    """Returns the problem document of an error: one of the `EXPECTED`, or an unexpected one, logged by `Dispatcher`."""
    path = request.url.path
    if isinstance(error, HTTPException) and error.status_code == 404:
        shorter = path.rstrip("/")
        similar = f"did you mean {shorter}? " if shorter and shorter != path else ""
        error = HTTPException(404, f"there is nothing at {path}; {similar}/docs lists what there is")
    elif isinstance(error, HTTPException) and error.status_code == 405:
        methods = allowed((error.headers or {}).get("Allow", ""))
        error = HTTPException(405, f"{request.method} is not for {path}; allowed: {methods}", {"Allow": methods})
    return respond(path, report(error, context_of(request).metrics, timing_of(request)), error_headers(error))


def allowed(methods: str) -> str:
    """Returns the value of an Allow header, with HEAD for GET, which `Dispatcher` answers."""
    names = {name.strip() for name in methods.split(",")}
    return ", ".join(sorted(names | {"HEAD"} if "GET" in names else names))

"""Describes error responses in the OpenAPI document: a component for each status, with an example of each problem."""

from itertools import groupby
from typing import Any

from starlette.exceptions import HTTPException

from service import errors
from service.http import problem
from service.telemetry.timing import Timing

Responses = dict[int | str, dict[str, Any]]

_COMPONENT = "Problem{}"
_HEADERS = ("X-Request-ID", "Server-Timing")
_QUEUE_FULL = "the queue is full: 4096 of at most 4096 sequences (TAGWERK_MAX_QUEUE_TOKENS)"
_TIMING = Timing(0.0, {"tokenize": 0.00041, "queue": 0.0903, "inference": 0.0094})
_OVER_RATE = "the key 'web' is for at most 5 requests a second (tagwerk keys add --rate)"
_DISK_FULL = "the correction is not stored, in TAGWERK_FEEDBACK_DIR: No space left on device"

EXAMPLES: tuple[dict[str, Any], ...] = (  # by status
    problem.document(errors.InvalidJson("expected value at line 1 column 10")),
    problem.document(HTTPException(400, "it is not valid HTTP/1.1")),
    problem.document(errors.Unauthorized("the request has no API key: send it as Authorization: Bearer KEY")),
    problem.document(errors.Forbidden("the key 'web' is for infer; this needs admin")),
    problem.document(errors.ModelNotFound("no model 'tagger-fr' is loaded; there is: tagger-en")),
    problem.document(HTTPException(406, "the Accept header, 'text/html', allows none of: application/json")),
    problem.document(errors.NotReceived(10.0)),
    problem.document(errors.NotPossible("tagger-en/3 cannot serve: a checksum does not match: manifest.json")),
    problem.document(errors.TooLarge("/text", "200001 characters", "at most 200000")),
    problem.document(HTTPException(415, "the Content-Type is 'text/plain'; allowed: application/json")),
    problem.document(errors.InvalidInput("/text/1", "got 7", "a valid string")),
    problem.document(errors.RateLimited(_OVER_RATE, 0.2)),
    problem.document(errors.Overloaded(_QUEUE_FULL, 0.5)),
    problem.document(problem.LARGE_HEAD),
    problem.document(errors.DeviceFailed("the device failed: out of memory")),
    problem.UNEXPECTED,
    problem.document(HTTPException(501, "the Transfer-Encoding is 'gzip, chunked'; allowed: chunked")),
    problem.document(errors.EngineUnavailable("the engine is starting")),
    problem.document(errors.DeadlineExceeded("the deadline passed before the answer was ready"), _TIMING),
    problem.document(errors.NotStored(_DISK_FULL)),
)

ANY = (431, 500)  # statuses of any route
READ = (401, 403, 429, *ANY)  # of a GET that requires a key
SEND = (400, 404, 408, 413, 415, 422, 501, *READ)  # of a POST
INFER = (*SEND, 503, 504)  # of a POST that needs the engine


def responses(*statuses: int) -> Responses:
    """Returns references to the components of error responses, for the routes that give them."""
    return {status: {"$ref": f"#/components/responses/{_COMPONENT.format(status)}"} for status in statuses}


def components() -> dict[str, Any]:
    """Returns the components of error responses by name."""
    by_status = groupby(EXAMPLES, lambda example: int(example["status"]))
    return {_COMPONENT.format(status): _component(status, list(examples)) for status, examples in by_status}


def _component(status: int, examples: list[dict[str, Any]]) -> dict[str, Any]:
    names = (*_HEADERS, "Retry-After") if status in (429, 503) else _HEADERS
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "examples": {
            example["type"].removeprefix(problem.PREFIX): {"summary": example["title"], "value": example}
            for example in examples
        },
    }
    return {
        "description": "; ".join(example["title"] for example in examples),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {problem.MEDIA_TYPE: content},
    }

"""The OpenAPI document: FastAPI writes it from the routes, and this completes it.

Added is what FastAPI cannot derive from the routes: problem documents, headers, API keys, schemas that no route of
FastAPI has, and examples of answers. Its own validation errors, which the service does not send, are removed.
"""

import json
from itertools import groupby
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from service.api import lines
from service.api.protocols.tensors import InferenceRequest
from service.http import problem
from service.http.context import TIMEOUT_HEADER
from service.paths import is_open
from service.pipelines.formats import JSON

KEY = "key"  # name of the security scheme
UNUSED_SCHEMAS = ("HTTPValidationError", "ValidationError")

HEADERS: dict[str, Any] = {
    "X-Request-ID": {
        "description": "The request's id: its own, or a generated one. The log has it.",
        "schema": {"type": "string"},
        "example": "4f2a9c1be07d4c5f8a3b6e9d1c0f7a52",
    },
    "Server-Timing": {
        "description": "Milliseconds by stage until the first byte, and the size of the largest batch.",
        "schema": {"type": "string"},
        "example": 'tokenize;dur=0.214, queue;dur=0.061, inference;dur=1.870, total;dur=2.633, batch;desc="batch of 4"',
    },
    "Retry-After": {
        "description": "Seconds after which to send the request again.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    },
}
PARAMETERS: dict[str, Any] = {
    "X-Request-ID": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "An id of at most 128 visible ASCII characters without commas and semicolons, returned and"
        " logged; any other is replaced.",
        "schema": {"type": "string"},
        "example": "order-1042",
    },
    TIMEOUT_HEADER: {
        "name": TIMEOUT_HEADER,
        "in": "header",
        "description": "Milliseconds after which the request is cancelled and answered 504; at most"
        " TAGWERK_REQUEST_TIMEOUT_SECONDS, the default, counts. Of newline-delimited JSON, for each line.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
        "example": 5000,
    },
}
SECURITY_SCHEMES = {
    KEY: {"type": "http", "scheme": "bearer", "description": "An API key, as `tagwerk keys add` prints it."}
}
ANSWER_HEADERS = ("X-Request-ID", "Server-Timing")  # of every answer

_KINDS = [  # status, slug of the type, title, detail
    *((status, slug, title, (kind.__doc__ or "").partition("\n")[0]) for kind, status, slug, title in problem.TABLE),
    *((status, slug, title, title) for status, (slug, title) in problem.HTTP.items()),
]
_NO_EXAMPLES = (problem.CLIENT_GONE, 405, "not-found")  # no documented route answers these
EXAMPLES = [problem.make(*kind) for kind in sorted(_KINDS) if not {*kind[:2]}.intersection(_NO_EXAMPLES)]  # by status

ANY = (431, 500)  # statuses of any route
READ = (401, 403, 429, *ANY)  # of a GET that requires a key
SEND = (400, 404, 408, 413, 415, 422, 501, *READ)  # of a POST
INFER = (*SEND, 503, 504)  # of a POST that needs the engine

_documents: dict[bool, dict[str, Any]] = {}  # by `with_keys`


def install(app: FastAPI, *, with_keys: bool) -> None:
    """Completes the document that an application serves; `with_keys`, whether its routes require API keys.

    It is written once for all applications of the process, since that takes 0.3 s.
    """
    write = app.openapi

    def openapi() -> dict[str, Any]:
        if with_keys not in _documents:
            _documents[with_keys] = complete(write(), with_keys=with_keys)
        return _documents[with_keys]

    app.openapi = openapi  # type: ignore[method-assign]


def complete(document: dict[str, Any], *, with_keys: bool) -> dict[str, Any]:
    """Completes a document in place; returns it."""
    components = document["components"]
    components["schemas"] |= _schemas()
    for name in UNUSED_SCHEMAS:
        components["schemas"].pop(name, None)
    components |= {"responses": error_responses(), "headers": HEADERS, "parameters": PARAMETERS}
    if with_keys:
        components["securitySchemes"] = SECURITY_SCHEMES
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete_operation(operation, components["schemas"])
            if with_keys and not is_open(path):
                operation["security"] = [{KEY: []}]
    return document


def _schemas() -> dict[str, Any]:
    """Returns the schemas that no route of FastAPI has, by name."""
    models = [(model, "validation") for model in (problem.Problem, InferenceRequest)]
    _, found = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas: dict[str, Any] = found["$defs"]
    for schema in schemas.values():  # as FastAPI does: null is the default of what may be left out
        for field in schema.get("properties", {}).values():
            if field.get("default", ...) is None:
                del field["default"]
    return schemas


def _complete_operation(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    runs_a_model = "504" in operation["responses"]
    names = ["X-Request-ID", TIMEOUT_HEADER] if runs_a_model else ["X-Request-ID"]
    references = [{"$ref": f"#/components/parameters/{name}"} for name in names]
    operation["parameters"] = [*operation.get("parameters", []), *references]
    operation["responses"] = {
        status: _completed(response, status)
        for status, response in operation["responses"].items()
        if UNUSED_SCHEMAS[0] not in str(response)
    }
    for described in (operation.get("requestBody", {}), *operation["responses"].values()):
        for media_type, content in described.get("content", {}).items():
            if media_type == lines.MEDIA_TYPE:
                content["example"] = json.dumps(example_of(described["content"][JSON]["schema"], schemas)) + "\n"
            elif media_type == JSON and "$ref" in content["schema"]:
                content["example"] = example_of(content["schema"], schemas)


def _completed(response: dict[str, Any], status: str) -> dict[str, Any]:
    if "$ref" in response:
        return {"$ref": response["$ref"]}  # without the description that FastAPI adds
    return response | {"headers": response.get("headers", {}) | _headers(int(status))}


def _headers(status: int) -> dict[str, Any]:
    """Returns references to the headers of a response."""
    names = (*ANSWER_HEADERS, "Retry-After") if status in (429, 503) else ANSWER_HEADERS
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def example_of(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Returns the example of a schema, or else an object with the examples of its fields."""
    match schema:
        case {"examples": [example, *_]}:
            return example
        case {"$ref": reference}:
            return example_of(schemas[reference.rpartition("/")[2]], schemas)
        case {"anyOf": kinds}:
            return None if {"type": "null"} in kinds else example_of(kinds[0], schemas)
        case {"type": "array", "items": item}:
            return [example_of(item, schemas)]
    fields = {name: example_of(field, schemas) for name, field in schema["properties"].items()}
    required = schema.get("required", ())
    return {name: value for name, value in fields.items() if value is not None or name in required}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns references to the components of error responses, for the routes that give them."""
    return {status: {"$ref": f"#/components/responses/Problem{status}"} for status in statuses}


def error_responses() -> dict[str, Any]:
    """Returns the components of error responses by name."""
    by_status = groupby(EXAMPLES, lambda example: int(example["status"]))
    return {f"Problem{status}": _error_response(status, list(examples)) for status, examples in by_status}


def _error_response(status: int, examples: list[dict[str, Any]]) -> dict[str, Any]:
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "examples": {
            example["type"].removeprefix(problem.PREFIX): {"summary": example["title"], "value": example}
            for example in examples
        },
    }
    return {
        "description": "; ".join(example["title"] for example in examples),
        "headers": _headers(status),
        "content": {problem.MEDIA_TYPE: content},
    }

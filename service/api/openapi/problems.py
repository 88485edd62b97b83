"""Describes error responses in the OpenAPI document: a component for each status, with an example of each problem."""

from itertools import groupby
from typing import Any

from service.http import problem

Responses = dict[int | str, dict[str, Any]]

_COMPONENT = "Problem{}"
_HEADERS = ("X-Request-ID", "Server-Timing")
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

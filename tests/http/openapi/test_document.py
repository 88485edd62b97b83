"""The OpenAPI document: valid, whole, and true of the service."""

import json
import re
from typing import Any

import pytest
from fastapi.routing import APIRoute
from openapi_spec_validator import validate

from service.api import admin, feedback, infer, lines, status
from service.api.openapi import error_responses
from service.api.protocols import open_inference, openai
from service.http.problem import HTTP, PREFIX, TABLE, Problem
from tests.http.openapi.calls import JSON, document, operations

NDJSON = lines.MEDIA_TYPE
LINES = ("/tag", "/classify", "/generate")
OPEN = {"/livez", "/readyz", "/healthz", "/metrics", "/v2/health/live", "/v2/health/ready"}


def resolved(reference: dict[str, Any]) -> dict[str, Any]:
    found = document()
    for step in reference["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


@pytest.mark.parametrize("with_keys", [True, False])
def test_the_document_is_valid(with_keys):
    validate(document(with_keys))


def test_no_two_schemas_share_a_title_and_no_two_operations_an_id():
    titles = [schema.get("title", name) for name, schema in document()["components"]["schemas"].items()]
    assert len(set(titles)) == len(titles)
    ids = [operation.id for operation in operations()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z_]+", id) for id in ids), "names of functions in a generated client"


def test_each_field_has_a_description_and_an_example():
    for name, schema in document()["components"]["schemas"].items():
        assert schema.get("description"), name
        for field, content in schema.get("properties", {}).items():
            needs_none = "$ref" in json.dumps(content) or {"type": "null"} in content.get("anyOf", [])
            if name not in ("Canary", "ModelServing") and not needs_none:  # the first two: of the serving config
                assert "examples" in content, f"{name}.{field}"
            assert content.get("description"), f"{name}.{field}"


def test_names_in_a_path_are_strings_and_never_null():
    for operation in operations():
        names = [one for one in operation.described["parameters"] if one.get("in") == "path"]
        assert [one["name"] for one in names] == re.findall("{(.*?)}", operation.path)
        assert all(one["schema"]["type"] == "string" for one in names)
        assert not any(one.get("in") == "query" for one in operation.described["parameters"])


def test_each_error_is_a_problem_document_with_examples():
    for operation in operations():
        for status_, response in operation.described["responses"].items():
            if status_.startswith("2") or JSON in response.get("content", {}):
                continue
            assert list(response) == ["$ref"], operation.path
            found = resolved(response)
            assert list(found["content"]) == ["application/problem+json"]
            content = found["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            for slug, example in content["examples"].items():
                problem = Problem.model_validate(example["value"], extra="forbid")
                assert (str(problem.status), problem.type) == (status_, PREFIX + slug)
    assert "HTTPValidationError" not in json.dumps(document())


def test_each_kind_of_problem_that_a_route_has_is_an_example():
    kinds = {slug for _, status_, slug, _ in TABLE if status_ != 499}
    kinds |= {slug for status_, (slug, _) in HTTP.items() if status_ not in (404, 405)}
    shown = [
        slug for one in error_responses().values() for slug in one["content"]["application/problem+json"]["examples"]
    ]
    assert sorted(shown) == sorted(kinds)


@pytest.mark.parametrize("path", [*LINES, "/v1/completions", "/v2/models/{name}/infer"])
def test_a_route_that_needs_the_engine_lists_what_it_answers(path):
    found = set(document()["paths"][path]["post"]["responses"])
    expected = {"200", *"400 401 403 404 408 413 415 422 429 431 500 501 503 504".split()}
    assert found - {"406"} == expected
    assert ("406" in found) == (path in LINES), "those that look at Accept"


def test_each_answer_has_an_example_that_fits_its_schema():
    routers = (infer, status, openai, open_inference, admin, feedback)
    routes = {
        route.operation_id: route for one in routers for route in one.router.routes if isinstance(route, APIRoute)
    }
    for operation in operations():
        response = operation.described["responses"][str(operation.status)]
        for media_type, content in response["content"].items():
            assert "example" in content or media_type == "application/octet-stream", operation
        if operation.answer is not None:
            example, model = response["content"][JSON]["example"], routes[operation.id].response_model
            assert model.model_validate(example, extra="forbid").model_dump(exclude_unset=True) == example


@pytest.mark.parametrize("path", LINES)
def test_lines_are_described_with_an_example(path):
    operation = document()["paths"][path]["post"]
    for content in (operation["requestBody"]["content"], operation["responses"]["200"]["content"]):
        assert json.loads(content[NDJSON]["example"]) == content[JSON]["example"]
        assert "A JSON object per line" in content[NDJSON]["schema"]["description"]


def test_headers_are_listed():
    engine = {
        *LINES,
        "/feedback",
        "/v1/completions",
        "/v2/models/{name}/infer",
        "/v2/models/{name}/versions/{version}/infer",
    }
    for operation in operations():
        names = [(resolved(one) if "$ref" in one else one)["name"] for one in operation.described["parameters"]]
        assert "X-Request-ID" in names
        assert ("X-Request-Timeout-Ms" in names) == (operation.path in engine)
        for status_, response in operation.described["responses"].items():
            headers = (resolved(response) if "$ref" in response else response)["headers"]
            assert {"X-Request-ID", "Server-Timing"} <= set(headers), operation.path
            assert ("Retry-After" in headers) == (status_ in ("429", "503")), operation.path


def test_keys_are_shown_where_they_are_required():
    assert "securitySchemes" not in document(with_keys=False)["components"]
    assert "security" not in json.dumps(document(with_keys=False)["paths"])
    ((name, scheme),) = document()["components"]["securitySchemes"].items()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    without = {operation.path for operation in operations() if operation.described.get("security") != [{name: []}]}
    assert without == OPEN

"""Whatever the OpenAPI document allows or forbids: no 5xx, and answers of the shape that it promises."""

from collections.abc import MutableMapping

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.http.context import TIMEOUT_HEADER
from tests.conftest import Server

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def schema(server: Server) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "forbidden"])
@pytest.mark.parametrize("path", ["/tag", "/classify", "/generate", "/v1/completions", "/v2/models/{name}/infer"])
def test_no_body_breaks_the_service(schema, path, mode):
    @settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path]["POST"].as_strategy(generation_mode=mode))
    def fuzz(case):
        shorten(case.body)
        lengthen(case.headers)
        case.call_and_validate(checks=CHECKS)

    fuzz()


def lengthen(headers: MutableMapping[str, str]) -> None:
    """Gives a valid request time for its answer: a deadline that passes is a server error."""
    if str(headers.get(TIMEOUT_HEADER, "")).isdigit():
        headers[TIMEOUT_HEADER] = "60000"


def shorten(body: object) -> None:
    """Cuts the texts that a valid body asks for: 128 of 4096 tokens take a slow machine longer than a request may."""
    if isinstance(body, dict):
        for name, (most, allowed) in {"max_tokens": (16, 4096), "n": (2, 128)}.items():
            if type(length := body.get(name)) is int and most < length <= allowed:
                body[name] = most
        if "prompt" in body:
            body.setdefault("max_tokens", 16)


NAMED = "/models /models/{name} /livez /readyz /healthz /metrics /v1/models /v2 /v2/health/ready /v2/models/{name}"


@pytest.mark.parametrize("path", NAMED.split())
def test_no_name_breaks_the_service(schema, path):
    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path]["GET"].as_strategy())
    def fuzz(case):
        case.call_and_validate(checks=CHECKS)

    fuzz()

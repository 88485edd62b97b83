"""What generators make of the OpenAPI document: a client that calls each route, and models that fit each.

openapi-python-client runs through `uv tool run`, in an environment of its own: it needs an older typer than other
packages.
"""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from datamodel_code_generator import InputFileType, generate
from datamodel_code_generator.enums import DataModelType

from service.api.lines import MEDIA_TYPE
from tests.http.openapi.calls import document, operations, service
from tests.node import TOOL

GENERATOR = "openapi-python-client==0.29.1"
PACKAGE, MODULE = "generated_client", "generated_models"
Service = tuple[httpx.ASGITransport, str]


@pytest.fixture
async def served(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Service]:
    """Yields the transport to a service, and a key for it."""
    async with service(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Generates the package; returns what the generator printed."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(json.dumps(document()))
    (folder / "config.json").write_text(json.dumps({"post_hooks": []}))  # generated code need not be pretty here
    paths = ["--path", folder / "openapi.json", "--config", folder / "config.json", "--output-path", folder / PACKAGE]
    command = [*TOOL, GENERATOR, "openapi-python-client", "generate", "--meta", "none", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if "Generating" not in done.stdout:
        pytest.skip(f"{GENERATOR} is neither in uv's cache nor can it be downloaded: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def client(generated: str) -> ModuleType:
    return importlib.import_module(PACKAGE)


def test_nothing_of_the_document_is_left_out_but_lines(generated):
    warnings = re.findall(r"^(WARNING|Unable|Unsupported|Cannot|Could not)(.*)$", generated, re.MULTILINE)
    unsupported = [rest.strip() for first, rest in warnings if first == "Unsupported"]
    assert unsupported == [f"content type {MEDIA_TYPE}"] * 3, "of the generator's: it knows no such bodies"
    parsing = [rest.strip() for first, rest in warnings if first == "WARNING"]
    assert parsing == [f"parsing POST {path} within tasks." for path in ("/tag", "/classify", "/generate")]
    assert len(warnings) == 6, generated


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("generated")
    generate(
        json.dumps(document()),
        input_file_type=InputFileType.OpenAPI,
        output=folder / f"{MODULE}.py",
        output_model_type=DataModelType.PydanticV2BaseModel,
        set_default_enum_member=True,
        formatters=[],  # generated code need not be pretty here
    )
    sys.path.insert(0, str(folder))
    return importlib.import_module(MODULE)


@pytest.mark.parametrize(("fixture", "module"), [("client", f"{PACKAGE}.models"), ("models", MODULE)])
def test_no_name_is_a_number(request, fixture, module):
    """Unions, lists and objects without names of their own would be called `..._type_0`, `Text1` or `Token1Item`."""
    request.getfixturevalue(fixture)
    assert [name for name in dir(importlib.import_module(module)) if re.search(r"\d", name)] == []


async def test_the_client_calls_each_route(client, served):
    models = importlib.import_module(f"{PACKAGE}.models")
    arguments, key = {"transport": served[0]}, served[1]
    caller = client.AuthenticatedClient(base_url="http://here", token=key, httpx_args=arguments)
    for operation in operations():
        names, body = operation.call()
        folder = {"OpenAI": "open_ai"}.get(operation.tag, operation.tag.lower().replace(" ", "_"))
        module = importlib.import_module(f"{PACKAGE}.api.{folder}.{operation.id}")
        given = {} if body is None else {"body": getattr(models, str(operation.body)).from_dict(body)}
        answer = await module.asyncio_detailed(client=caller, x_request_id="mine-1", **names, **given)
        assert answer.status_code == operation.status, (operation, answer.content)
        assert answer.headers["x-request-id"] == "mine-1"
        expected = str if operation.answer is None else getattr(models, operation.answer)
        assert type(answer.parsed) is expected, operation


async def test_the_client_reads_problems_and_sends_a_timeout(client, served):
    arguments, key = {"transport": served[0]}, served[1]
    caller = client.AuthenticatedClient(base_url="http://here", token=key, httpx_args=arguments)
    models = importlib.import_module(f"{PACKAGE}.models")
    tag = importlib.import_module(f"{PACKAGE}.api.tasks.tag")
    body = models.TagRequest.from_dict({"text": "fine", "model": "none"})
    answer = await tag.asyncio(client=caller, body=body, x_request_timeout_ms=5000)
    assert (type(answer), answer.status) == (models.Problem, 404)
    answer = await tag.asyncio(client=caller, body=body, x_request_timeout_ms=0)
    assert [place.pointer for place in answer.errors] == ["/headers/X-Request-Timeout-Ms"]
    stranger = client.AuthenticatedClient(base_url="http://here", token="none", httpx_args=arguments)
    assert (await tag.asyncio(client=stranger, body=body)).status == 401


async def test_each_route_takes_and_gives_what_the_models_say(models, served):
    transport, key = served
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
        for operation in operations():
            names, body = operation.call()
            content = None
            if body is not None:
                content = getattr(models, str(operation.body)).model_validate(body).model_dump_json()
            answer = await client.request(operation.method, operation.path.format(**names), content=content)
            assert answer.status_code == operation.status, (operation, answer.text)
            if operation.answer is not None:
                getattr(models, operation.answer).model_validate_json(answer.content)

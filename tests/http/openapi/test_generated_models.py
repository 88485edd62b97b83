"""Models that datamodel-code-generator generates from the OpenAPI document fit each route."""

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from datamodel_code_generator import InputFileType, generate
from datamodel_code_generator.enums import DataModelType

from tests.http.openapi.calls import CALLS, document, operations, service

MODULE = "generated_models"


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


def test_no_name_is_a_number(models):
    """Unions and lists without names of their own would be called `Text1` or `Token1Item`."""
    assert [name for name in vars(models) if re.search(r"\d", name)] == []


async def test_each_route_takes_and_gives_what_the_models_say(models, tmp_path: Path):
    assert {operation.id for operation in operations()} == set(CALLS)
    async with service(tmp_path) as (transport, key):
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
            for operation in operations():
                names, body = CALLS[operation.id]
                content = None
                if body is not None:
                    content = getattr(models, str(operation.body)).model_validate(body).model_dump_json()
                path, sent = operation.path.format(**names), {"content-type": "application/json"}
                answer = await client.request(operation.method, path, content=content, headers=sent)
                assert answer.status_code == operation.status, (operation, answer.text)
                if operation.answer is not None:
                    getattr(models, operation.answer).model_validate_json(answer.content)

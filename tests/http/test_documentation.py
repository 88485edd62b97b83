"""/docs and the OpenAPI document, from the real server."""

import re
from urllib.parse import urljoin

import pytest


@pytest.fixture(scope="module")
def document(client) -> dict:
    return client.get("/openapi.json").json()


def test_the_page_asks_nobody_else(client):
    page = client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", page.text)
    assert len(links) >= 4, "script, style, icon, document"
    for link in links:
        assert link.startswith("/"), link
        assert client.get(urljoin("/docs", link)).status_code == 200
    assert not re.search(r"https?://", page.text)
    assert '"validatorUrl": "none"' in page.text


def test_every_field_has_a_description_and_an_example(document):
    schemas = document["components"]["schemas"]
    own = [name for name in schemas if name not in ("HTTPValidationError", "ValidationError")]
    assert len(own) > 15
    for name in own:
        assert schemas[name].get("description"), name
        for field, schema in schemas[name].get("properties", {}).items():
            assert schema.get("description"), f"{name}.{field}"
            assert "examples" in schema, f"{name}.{field}"


def test_every_reference_leads_somewhere(document):
    references = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert "Problem" in references
    assert references <= set(document["components"]["schemas"])
    assert "$defs" not in str(document)


@pytest.mark.parametrize("path", ["/tag", "/classify", "/generate"])
def test_the_examples_are_answered(client, document, path):
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    schema = document["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
    body = {name: field["examples"][0] for name, field in schema["properties"].items()}
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text


def test_every_operation_lists_the_problems_that_it_has(document):
    for path in ("/tag", "/classify", "/generate"):
        responses = document["paths"][path]["post"]["responses"]
        assert set(responses) >= {"200", "400", "404", "406", "413", "415", "422", "429", "503", "504"}
        assert "application/problem+json" in responses["422"]["content"]

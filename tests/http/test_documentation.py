"""/docs and the OpenAPI document, from the real server."""

import re
from typing import Any
from urllib.parse import urljoin

import pytest


@pytest.fixture(scope="module")
def document(client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


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


@pytest.mark.parametrize("path", ["/tag", "/classify", "/generate"])
def test_the_examples_are_answered(client, document, path):
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    schema = document["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
    body = {name: field["examples"][0] for name, field in schema["properties"].items()}
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text

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
    assert len(links) >= 5, "scripts, style, icon, document"
    for link in links:
        assert ":" not in link, "relative, also behind a proxy that strips a prefix"
        assert not link.startswith("/"), link
        assert client.get(urljoin("/docs", link)).status_code == 200
    script = client.get("/page/docs.js").text
    assert not re.search(r"https?://", page.text + script)
    assert 'validatorUrl: "none"' in script
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy


def test_the_document_is_encoded_once_and_not_sent_again_to_one_that_has_it(client):
    plain = client.get("/openapi.json", headers={"accept-encoding": "identity"})
    zipped = client.get("/openapi.json", headers={"accept-encoding": "gzip"})
    assert plain.headers["content-type"] == "application/json"
    assert plain.content == zipped.content
    assert zipped.headers["content-encoding"] == "gzip"
    again = client.get("/openapi.json", headers={"if-none-match": plain.headers["etag"]} | IDENTITY)
    assert (again.status_code, again.content) == (304, b"")


IDENTITY = {"accept-encoding": "identity"}


@pytest.mark.parametrize("path", ["/tag", "/classify", "/generate"])
def test_the_examples_are_answered(client, document, path):
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    schema = document["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
    body = {name: field["examples"][0] for name, field in schema["properties"].items() if "examples" in field}
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text

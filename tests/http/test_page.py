"""The page at /, /docs and the OpenAPI document, as they are sent."""

import re
import tomllib
from urllib.parse import urljoin

import pytest

from service.api.page.routes import FOLDER, assets
from tests.conftest import ROOT
from tests.http.test_problems import check

PATHS = ["/", "/openapi.json", *(f"/page/{path.name}" for path in sorted(FOLDER.iterdir()))]
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}


@pytest.mark.parametrize("path", PATHS)
def test_a_file_is_sent_whole_or_zipped_or_not_again(client, path):
    plain = client.get(path, headers={"accept-encoding": "identity"})
    zipped = client.get(path, headers={"accept-encoding": "gzip"})
    assert plain.content == zipped.content
    if path == "/openapi.json":
        assert plain.headers["content-type"] == "application/json"
    else:
        file = FOLDER / (path.removeprefix("/page/").strip("/") or "index.html")
        assert plain.content == file.read_bytes()
        assert plain.headers["content-type"] == f"{TYPES[file.suffix]}; charset=utf-8"
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert plain.headers["etag"] != zipped.headers["etag"], "another representation has another tag (RFC 9110)"
    for response, coding in ((plain, "identity"), (zipped, "gzip")):
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["vary"] == "Accept-Encoding"
        tag = response.headers["etag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            again = client.get(path, headers={"accept-encoding": coding, "if-none-match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        changed = client.get(path, headers={"accept-encoding": coding, "if-none-match": '"other"'})
        assert changed.status_code == 200


def test_the_page_is_html_with_a_policy_that_allows_nothing_inline(client):
    response = client.get("/")
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in str(policy)
    assert " style=" not in response.text
    assert "onclick" not in response.text
    assert 'href="docs"' in response.text


@pytest.mark.parametrize("path", ["/page/none.js", "/page/", "/page/routes.py", "/page/..%2froutes.py"])
def test_nothing_else_is_sent(client, path):
    check(client.get(path), 404)


def test_the_package_holds_every_file():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packaged = [f"page/{pattern}" for pattern in data["tagwerk.service.api.page"]]
    left_out = [path.name for path in FOLDER.iterdir() if not any(map(path.match, packaged))]
    assert left_out == []
    assert {path.name for path in FOLDER.iterdir()} == set(assets())


def test_the_documentation_asks_nobody_else(client):
    page = client.get("/docs")
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


@pytest.mark.parametrize("path", ["/tag", "/classify", "/generate"])
def test_the_examples_of_the_documentation_are_answered(client, path):
    document = client.get("/openapi.json").json()
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    schema = document["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
    body = {name: field["examples"][0] for name, field in schema["properties"].items() if "examples" in field}
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text

"""The files of the page at /, as they are sent."""

import tomllib

import pytest

from service.api.page.routes import FOLDER, assets
from tests.conftest import ROOT
from tests.http.test_problems import check

PATHS = ["/", *(f"/page/{path.name}" for path in sorted(FOLDER.iterdir()))]


@pytest.mark.parametrize("path", PATHS)
def test_a_file_is_sent_whole_or_zipped_or_not_again(client, path):
    content = (FOLDER / (path.removeprefix("/page/").strip("/") or "index.html")).read_bytes()
    plain = client.get(path, headers={"accept-encoding": "identity"})
    zipped = client.get(path, headers={"accept-encoding": "gzip"})
    assert plain.content == zipped.content == content
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
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in str(policy)
    assert " style=" not in response.text
    assert "onclick" not in response.text
    assert 'href="docs"' in response.text


def test_scripts_and_styles_are_what_they_say(client):
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "html": "text/html"}
    for path in PATHS[1:]:
        sent = client.get(path).headers["content-type"]
        assert sent == types[path.rsplit(".", 1)[1]] + "; charset=utf-8"


@pytest.mark.parametrize("path", ["/page/none.js", "/page/", "/page/routes.py", "/page/..%2froutes.py"])
def test_nothing_else_is_sent(client, path):
    check(client.get(path), 404)


def test_the_package_holds_every_file():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packaged = [f"page/{pattern}" for pattern in data["tagwerk.service.api.page"]]
    left_out = [path.name for path in FOLDER.iterdir() if not any(map(path.match, packaged))]
    assert left_out == []
    assert {path.name for path in FOLDER.iterdir()} == set(assets())

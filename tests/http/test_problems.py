"""Bad input: each has a problem document that names the place, what is wrong there, and what is allowed."""

import gzip
import json
import re

import httpx
import pytest

from service import errors
from service.http.problem import HTTP, TABLE, WEBSOCKET, Problem
from service.telemetry.request import ids_from
from tests.conftest import ROOT

ERRORS = ROOT / "docs" / "errors.md"
ZIPPED = {"content-type": "application/json", "content-encoding": "gzip"}


def check(response: httpx.Response, status: int) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate(response.json(), extra="forbid")
    assert found.status == status
    assert found.type.startswith("urn:tagwerk:problem:")
    assert found.detail
    return found


FIELDS = "the fields model, text, tokens, language, offsets"
EITHER = "an object with exactly one of the fields text and tokens"
EXAMPLE = 'such as [["Dogs", "bark"]]'


@pytest.mark.parametrize(
    ("path", "body", "pointer", "problem", "allowed"),
    [
        ("/tag", {"text": 7}, "/text", "got 7", "a string or a list of strings"),
        ("/tag", {"text": None, "tokens": None}, "", "got an object", EITHER),
        ("/tag", {}, "", "got an object", EITHER),
        ("/tag", {"text": "a", "tokens": [["a"]]}, "", "got an object", EITHER),
        ("/tag", {"text": []}, "/text", "a list of 0 items", "at least 1 item"),
        ("/tag", {"text": [1]}, "/text/0", "got 1", "a valid string"),
        ("/tag", {"text": [None, 2]}, "/text/0", "got null", "a valid string"),
        ("/tag", {"text": "a", "colour": 1}, "/colour", "unknown field", FIELDS),
        ("/tag", {"txt": "a"}, "/txt", 'unknown field (did you mean "text"?)', "the fields model, text, tokens"),
        ("/tag", {"tokens": []}, "/tokens", "a list of 0 items", "at least 1 item"),
        ("/tag", {"tokens": [[]]}, "/tokens/0", "a list of 0 items", "at least 1 item"),
        ("/tag", {"tokens": [["a", " "]]}, "/tokens/0/1", "a string of 1 character", "not blank"),
        ("/tag", {"tokens": ["Dogs", "bark"]}, "/tokens", "a list of 2 items", EXAMPLE),
        ("/tag", {"tokens": "Dogs bark"}, "/tokens", "a string", EXAMPLE),
        ("/tag", {"tokens": [["a"], "bark"]}, "/tokens/1", "a string", 'a list of tokens, such as ["bark"]'),
        ("/tag", [], "", "a list of 0 items", "a valid dictionary or object"),
        ("/classify", {}, "/text", "missing", "a text, or a list of texts, to classify"),
        ("/classify", {"text": {"a": 1}}, "/text", "an object", "a string or a list of strings"),
        ("/generate", {"prompt": "a", "max_tokens": 0}, "/max_tokens", "got 0", "greater than or equal to 1"),
        ("/generate", {"prompt": "a", "max_tokens": "9"}, "/max_tokens", "a string", "a valid integer"),
        ("/generate", {"prompt": "a", "max_tokens": 1.5}, "/max_tokens", "got 1.5", "integer"),
        ("/generate", {"prompt": "a", "temperature": -1}, "/temperature", "got -1", "greater than or equal to 0"),
        ("/generate", {"prompt": "a", "temperature": float("nan")}, "/temperature", "got nan", "a finite number"),
        ("/generate", {"prompt": "a", "top_p": float("inf")}, "/top_p", "got inf", "a finite number"),
        ("/generate", {"prompt": "a", "top_p": 0}, "/top_p", "got 0", "greater than 0"),
        ("/generate", {"prompt": "a", "seed": -1}, "/seed", "got -1", "greater than or equal to 0"),
        ("/generate", {"prompt": "a", "seed": True}, "/seed", "got true", "integer"),
        ("/generate", {"prompt": "a", "stop": [""]}, "/stop/0", "an empty string", "at least 1 character"),
        ("/generate", {"prompt": "a", "stop": ["x"] * 17}, "/stop", "17 items", "at most 16 items"),
    ],
)
def test_a_field_that_is_wrong_is_named(client, path, body, pointer, problem, allowed):
    response = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    found = check(response, 422)
    assert found.errors[0].pointer == pointer
    for expected, text in ((problem, found.errors[0].problem), (allowed, found.errors[0].allowed)):
        assert re.search(rf"{re.escape(expected)}(?!\w)", text), "whole words, so 1 item and no 1 items"


def test_sizes_over_a_limit_are_refused(client):
    assert "at most 200000" in check(client.post("/tag", json={"text": "a" * 200_001}), 413).errors[0].allowed
    assert "at most 1024" in check(client.post("/classify", json={"text": ["a"] * 1025}), 413).errors[0].allowed
    found = check(client.post("/generate", json={"prompt": "a", "max_tokens": 5000}), 413)
    assert (found.errors[0].pointer, found.errors[0].allowed) == ("/max_tokens", "at most 4096")
    found = check(client.post("/generate", json={"prompt": ["a"] * 129, "n": 2, "max_tokens": 1}), 413)
    assert (found.errors[0].pointer, found.errors[0].allowed) == ("/n", "at most 256 in all"), "not 429 for ever"


def test_a_body_over_the_limit_is_refused_whether_its_length_is_announced_or_not(client):
    body = b'{"text": "' + b"a" * 5_000_000 + b'"}'
    headers = {"content-type": "application/json"}
    assert "4194304 bytes" in check(client.post("/tag", content=body, headers=headers), 413).detail
    chunks = iter([body[:2_500_000], body[2_500_000:]])
    check(client.post("/tag", content=chunks, headers=headers), 413)


def test_unknown_models_paths_and_methods(client):
    assert "tagger-en" in check(client.post("/tag", json={"text": "a", "model": "none"}), 404).detail
    assert "sentiment-en" in check(client.get("/models/none"), 404).detail
    assert "/nowhere" in check(client.get("/nowhere"), 404).detail
    assert "POST" in check(client.get("/tag"), 405).detail


def test_every_error_of_the_project_has_a_status():
    listed = [cls for cls, *_ in TABLE]
    others = {errors.ArtifactError, errors.ConfigurationError, errors.InternalError}  # no request ends with one
    others |= {errors.InvalidFields, errors.TryLater}  # have the status of their base, or of those below
    ours = {cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.TagwerkError)}
    assert ours == {*listed, *others}
    slugs = [slug for _, _, slug, _ in TABLE]
    assert len(slugs) == len(set(slugs))


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json"]
)
@pytest.mark.parametrize("path", ["/tag", "/classify", "/generate"])
def test_a_body_of_another_type_is_refused(client, path, content_type):
    headers = {"content-type": content_type} if content_type else {}
    response = client.post(path, content=b'{"text": "a"}', headers=headers)
    found = check(response, 415)
    assert found.type.endswith(":unsupported-media-type")
    assert (content_type or "missing") in found.detail
    assert response.headers["accept-post"] == "application/json, application/x-ndjson"
    for json_type in ("application/json; charset=utf-8", "application/vnd.mine+json"):
        assert client.post("/tag", content=b'{"text": "a"}', headers={"content-type": json_type}).is_success


def test_a_coding_that_is_not_read_is_refused(client):
    response = client.post("/tag", content=b"...", headers=ZIPPED | {"content-encoding": "br"})
    assert "allowed: gzip" in check(response, 415).detail
    assert response.headers["accept-encoding"] == "gzip"


WHOLE = gzip.compress(b'{"text": "a"}')


@pytest.mark.parametrize("body", [b"", b"not gzip", WHOLE[:-4], WHOLE + b"more"], ids=["empty", "not", "cut", "more"])
def test_a_body_that_is_not_gzip_is_refused(client, body):
    found = check(client.post("/tag", content=body, headers=ZIPPED), 422)
    assert found.errors[0].pointer == "/headers/Content-Encoding"


def test_the_limit_holds_for_what_comes_out(client):
    bomb = gzip.compress(b'{"text": "' + b"a" * 100_000_000 + b'"}')
    assert len(bomb) < 4_194_304
    assert "4194304 bytes" in check(client.post("/tag", content=bomb, headers=ZIPPED), 413).detail


@pytest.mark.parametrize(
    ("path", "accept"),
    [("/tag", "text/html"), ("/tag", "application/json;q=0"), ("/classify", "text/x-conllu"), ("/generate", "image/*")],
)
def test_a_form_that_no_answer_has_is_refused(client, path, accept):
    body = {"prompt": "a", "max_tokens": 1} if path == "/generate" else {"text": "a"}
    found = check(client.post(path, json=body, headers={"accept": accept}), 406)
    assert accept in found.detail
    assert "application/json" in found.detail


def test_a_timeout_that_passes_says_where_the_time_went(client):
    text = "The quick brown fox jumps over the lazy dog. " * 4000
    found = check(client.post("/tag", json={"text": text}, headers={"X-Request-Timeout-Ms": "50"}), 504)
    stages = ["tokenize", "queue", "inference"]
    assert found.timing_ms is not None
    assert list(found.timing_ms) in (stages[:1], stages), "a slow machine is not done with tokenizing by then"
    assert found.timing_ms["tokenize"] > 0
    assert f"tokenizing took {found.timing_ms['tokenize']:g} ms" in found.detail
    body = {"prompt": "a", "max_tokens": 4096}
    found = check(client.post("/generate", json=body, headers={"X-Request-Timeout-Ms": "300"}), 504)
    assert found.timing_ms is not None
    assert list(found.timing_ms) == ["tokenize", "queue", "inference"]
    assert found.timing_ms["inference"] > found.timing_ms["queue"], "it had a slot"


TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        (f"00-{TRACE}-{PARENT}-01", TRACE),
        (f"cc-{TRACE}-{PARENT}-01-later", TRACE),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_as_w3c_has_it(header, trace):
    assert ids_from({b"traceparent": header.encode()}).trace == trace


def test_the_documentation_lists_every_kind_of_problem_and_no_other():
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| ([^|]+) \|", ERRORS.read_text(), re.MULTILINE)
    listed = {(slug, int(status), title) for slug, status, title in rows}
    assert len(listed) == len(rows)
    assert listed == {(slug, status, title) for _, status, slug, title in TABLE} | {
        (slug, status, title) for status, (slug, title) in [*HTTP.items(), (400, WEBSOCKET)]
    }

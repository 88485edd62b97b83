"""Bad input: each has a problem document that names the place, what is wrong there, and what is allowed."""

import json

import httpx
import pytest

from service import errors
from service.api.problem import TABLE
from service.api.schemas import Problem

DEEP = "[" * 100_000


def check(response: httpx.Response, status: int) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate(response.json(), extra="forbid")
    assert found.status == status
    assert found.type.startswith("urn:tagwerk:problem:")
    assert found.detail
    return found


@pytest.mark.parametrize(
    ("path", "body", "pointer", "problem", "allowed"),
    [
        ("/tag", {"text": 7}, "/text", "got 7", "a string or a list of strings"),
        ("/tag", {"text": None, "tokens": None}, "", "got an object", "exactly one of the fields text and tokens"),
        ("/tag", {}, "", "got an object", "exactly one of the fields text and tokens"),
        ("/tag", {"text": "a", "tokens": [["a"]]}, "", "got an object", "exactly one"),
        ("/tag", {"text": []}, "/text", "a list of 0 items", "at least 1 items"),
        ("/tag", {"text": ["a", 1]}, "/text/1", "got 1", "a valid string"),
        ("/tag", {"text": ["a", None]}, "/text/1", "got null", "a valid string"),
        ("/tag", {"text": "a", "colour": 1}, "/colour", "unknown field", "/docs"),
        ("/tag", {"text": "a\ud800"}, "/text", "a string of 2 characters", "without lone surrogates"),
        ("/tag", {"\ud800": 1}, "", "a string of 1 characters", "a valid string"),
        ("/tag", {"tokens": []}, "/tokens", "a list of 0 items", "at least 1 items"),
        ("/tag", {"tokens": [["a"], []]}, "/tokens/1", "a list of 0 items", "at least 1 items"),
        ("/tag", {"tokens": [["a", " "]]}, "/tokens/0/1", "a string of 1 characters", "not blank"),
        ("/tag", {"tokens": ["a"]}, "/tokens/0", "a string", "a valid list"),
        ("/tag", [], "", "a list of 0 items", "a valid dictionary or object"),
        ("/classify", {}, "/text", "missing", "required"),
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
        ("/generate", {"prompt": "a", "stop": [""]}, "/stop/0", "an empty string", "at least 1 characters"),
        ("/generate", {"prompt": "a", "stop": ["x"] * 17}, "/stop", "17 items", "at most 16 items"),
    ],
)
def test_a_field_that_is_wrong_is_named(client, path, body, pointer, problem, allowed):
    response = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    found = check(response, 422)
    assert found.errors[0].pointer == pointer
    assert problem in found.errors[0].problem
    assert allowed in found.errors[0].allowed


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"text": }', b'{"text": "\xff\xfe"}', b"\x00", DEEP.encode(), b'{"text": "a"} x'],
    ids=["empty", "cut", "no value", "not UTF-8", "null byte", "deep", "more"],
)
def test_a_body_that_is_not_json_is_refused(client, body):
    response = client.post("/tag", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    check(response, response.status_code)


def test_sizes_over_a_limit_are_refused(client):
    assert "at most 200000" in check(client.post("/tag", json={"text": "a" * 200_001}), 413).errors[0].allowed
    assert "at most 1024" in check(client.post("/classify", json={"text": ["a"] * 1025}), 413).errors[0].allowed
    found = check(client.post("/generate", json={"prompt": "a", "max_tokens": 5000}), 413)
    assert (found.errors[0].pointer, found.errors[0].allowed) == ("/max_tokens", "at most 4096")


def test_a_body_over_the_limit_is_refused_whether_its_length_is_announced_or_not(client):
    body = b'{"text": "' + b"a" * 5_000_000 + b'"}'
    headers = {"content-type": "application/json"}
    assert "4194304 bytes" in check(client.post("/tag", content=body, headers=headers), 413).detail
    pieces = iter([body[:2_500_000], body[2_500_000:]])
    check(client.post("/tag", content=pieces, headers=headers), 413)


def test_unknown_models_paths_and_methods(client):
    assert "tagger-en" in check(client.post("/tag", json={"text": "a", "model": "none"}), 404).detail
    assert "sentiment-en" in check(client.get("/models/none"), 404).detail
    assert "/nowhere" in check(client.get("/nowhere"), 404).detail
    assert "POST" in check(client.get("/tag"), 405).detail


def test_a_timeout_that_passes_is_answered_504_and_one_that_is_no_number_422(client):
    response = client.post(
        "/generate", json={"prompt": "a", "max_tokens": 4096}, headers={"X-Request-Timeout-Ms": "30"}
    )
    check(response, 504)
    response = client.post("/tag", json={"text": "a"}, headers={"X-Request-Timeout-Ms": "soon"})
    assert check(response, 422).errors[0].pointer == "/headers/X-Request-Timeout-Ms"


def test_every_error_of_the_project_has_a_status():
    def tree(cls: type) -> list[type]:
        return [cls, *(below for child in cls.__subclasses__() for below in tree(child))]

    listed = {cls for cls, *_ in TABLE}
    for cls in tree(errors.TagwerkError):
        assert (
            cls in listed
            or cls in (errors.ArtifactError, errors.ConfigurationError)
            or cls.__module__ != errors.__name__
        )
    slugs = [slug for _, _, slug, _ in TABLE]
    assert len(slugs) == len(set(slugs))

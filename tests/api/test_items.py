"""In a list, an item that is not valid has its error in its place, and the others their answers."""

import json
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from service.api import schemas
from service.api.problem import Problem
from tests.api.test_problems import check

LONG = "a" * 200_001
ANSWERS: dict[str, type[BaseModel]] = {
    "/tag": schemas.TagAnswer,
    "/classify": schemas.ClassifyAnswer,
    "/generate": schemas.GenerateAnswer,
}
WISHES = {"/generate": {"max_tokens": 1, "seed": 1}}


def ask(client: httpx.Client, path: str, body: dict[str, Any], media_type: str = "application/json") -> httpx.Response:
    return client.post(path, content=json.dumps(WISHES.get(path, {}) | body), headers={"content-type": media_type})


def errors(results: list[dict[str, Any]]) -> list[tuple[int, str] | None]:
    """Returns the status and the place of each error, None for results that are none."""
    problems = [Problem.model_validate(r["error"], extra="forbid") if "error" in r else None for r in results]
    return [problem and (problem.status, problem.errors[0].pointer) for problem in problems]


@pytest.mark.parametrize(
    ("path", "field", "items", "expected"),
    [
        ("/tag", "text", ["Go!", 7, "Stop."], [None, (422, "/text/1"), None]),
        ("/tag", "text", [None, "Go!", ["Go!"]], [(422, "/text/0"), None, (422, "/text/2")]),
        ("/tag", "text", ["Go!", "a\ud800", ""], [None, (422, "/text/1"), None]),
        ("/tag", "text", ["Go!", LONG], [None, (413, "/text/1")]),
        ("/tag", "tokens", [["Go", "!"], [], ["a", " "]], [None, (422, "/tokens/1"), (422, "/tokens/2/1")]),
        ("/tag", "tokens", ["Go!", ["Go", "!"]], [(422, "/tokens/0"), None]),
        ("/tag", "tokens", [["Go", "!"], ["ab"] * 70_000], [None, (413, "/tokens/1")]),
        ("/classify", "text", ["Good.", {"text": "Good."}], [None, (422, "/text/1")]),
        ("/classify", "text", [LONG, "\udc00", "Good."], [(413, "/text/0"), (422, "/text/1"), None]),
        ("/generate", "prompt", ["A", 7, "B"], [None, (422, "/prompt/1"), None]),
        ("/generate", "prompt", [LONG, "B"], [(413, "/prompt/0"), None]),
    ],
)
def test_an_item_that_is_not_valid_has_its_error_in_its_place(client, path, field, items, expected):
    response = ask(client, path, {field: items})
    assert response.status_code == 200, response.text
    ANSWERS[path].model_validate(response.json(), strict=True, extra="forbid")
    results = response.json()["results"]
    assert errors(results) == expected
    good = [item for item, error in zip(items, expected, strict=True) if error is None]
    alone = ask(client, path, {field: good}).json()["results"]
    keys = [sorted(result) for result in results if "error" not in result]
    assert keys == [sorted(result) for result in alone]
    (line,) = ask(client, path, {field: items}, "application/x-ndjson").text.splitlines()
    assert errors(json.loads(line)["results"]) == expected


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/tag", {"text": [7, "\ud800"]}, 422),
        ("/tag", {"tokens": [[], [""]]}, 422),
        ("/tag", {"text": [7]}, 422),
        ("/tag", {"text": [7, LONG]}, 413),
        ("/tag", {"text": [LONG, LONG]}, 413),
        ("/classify", {"text": ["a" * 150_000, "a" * 150_000]}, 413),
        ("/classify", {"text": ["Good.", 7], "colour": 1}, 422),
        ("/tag", {"text": ["Go!", 7], "format": "conllu"}, 422),
        ("/generate", {"prompt": ["A", 7], "stream": True}, 422),
        ("/generate", {"prompt": ["A", LONG], "stream": True}, 413),
    ],
)
def test_where_all_is_wrong_or_the_answer_has_no_place_for_an_error_the_request_is_refused(client, path, body, status):
    check(ask(client, path, body), status)


def test_each_text_of_a_prompt_has_its_place(client):
    results = ask(client, "/generate", {"prompt": ["A", None, "B"], "n": 2}).json()["results"]
    assert errors(results) == [None, None, (422, "/prompt/1"), (422, "/prompt/1"), None, None]


def test_other_protocols_refuse_the_request(client):
    response = client.post("/v1/completions", json={"model": "lm-shakespeare", "prompt": ["A", LONG], "max_tokens": 1})
    assert response.status_code == 413
    assert response.json()["error"]["param"] == "prompt"
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["Go!", LONG]}
    for model in ("tagger-en", "sentiment-en", "lm-shakespeare"):
        assert client.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]}).status_code == 413

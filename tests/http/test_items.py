"""A list of texts is valid as a whole, or the request is refused with a pointer to each wrong item."""

import json
from typing import Any

import httpx
import pytest

from tests.http.running import post
from tests.http.test_problems import check

LONG = "a" * 2001


def ask(path: str, body: dict[str, Any], media_type: str = "application/json") -> httpx.Response:
    return post(path, json.dumps(body).encode(), {"content-type": media_type}, max_text_characters=2000)


@pytest.mark.parametrize(
    ("path", "body", "status", "pointers"),
    [
        ("/tag", {"text": ["Go!", 7, "Stop."]}, 422, ["/text/1"]),
        ("/tag", {"text": [None, "Go!", ["Go!"]]}, 422, ["/text/0", "/text/2"]),
        ("/tag", {"text": ["Go!", LONG]}, 413, ["/text/1"]),
        ("/tag", {"text": LONG}, 413, ["/text"]),
        ("/tag", {"text": ["a" * 1500, "a" * 1500]}, 413, ["/text"]),
        ("/tag", {"tokens": [["Go", "!"], [], ["a", " "]]}, 422, ["/tokens/1", "/tokens/2/1"]),
        ("/tag", {"tokens": ["Go!", ["Go", "!"]]}, 422, ["/tokens/0"]),
        ("/tag", {"tokens": [["Go", "!"], ["ab"] * 700]}, 413, ["/tokens/1"]),
        ("/tag", {"text": ["Go!", 7], "format": "conllu"}, 422, ["/text/1"]),
        ("/classify", {"text": ["Good.", {"text": "Good."}]}, 422, ["/text/1"]),
        ("/classify", {"text": ["Good.", 7], "colour": 1}, 422, ["/text/1", "/colour"]),
        ("/generate", {"prompt": ["A", 7, "B"], "n": 2}, 422, ["/prompt/1"]),
        ("/generate", {"prompt": [LONG, "B"]}, 413, ["/prompt/0"]),
        ("/generate", {"prompt": ["A", LONG], "stream": True}, 413, ["/prompt/1"]),
        ("/generate", {"prompt": "a" * 1001, "n": 2}, 413, ["/prompt"]),
        ("/generate", {"prompt": ["A", "a" * 1001], "n": 2}, 413, ["/prompt/1"]),
    ],
)
def test_a_wrong_item_refuses_the_request_and_is_named(path, body, status, pointers):
    found = check(ask(path, body), status)
    assert [place.pointer for place in found.errors] == pointers
    (line,) = ask(path, body, "application/x-ndjson").text.splitlines()
    if body.get("stream") is None and body.get("format") is None:
        line = line.replace("the fields id, ", "the fields ")  # a line has one more
        assert json.loads(line)["error"] == found.model_dump(exclude_defaults=True)


def test_other_protocols_refuse_the_request_too():
    response = ask("/v1/completions", {"model": "lm", "prompt": ["A", LONG], "max_tokens": 1})
    assert response.status_code == 413
    assert response.json()["error"]["param"] == "prompt"
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["Go!", LONG]}
    for model in ("tagger", "classifier", "lm"):
        assert ask(f"/v2/models/{model}/infer", {"inputs": [tensor]}).status_code == 413

"""Limits on a body are checked before the work that they limit, and no answer repeats a long one."""

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel

from service.api import request_schemas
from service.api.protocols.openai import CompletionRequest
from service.errors import TagwerkError, TooLarge
from service.http import body as http_body
from service.http import problem
from service.http.body import parse
from service.settings import Settings
from tests.http.running import post, scene
from tests.http.test_long_work import counted_iterations
from tests.http.test_problems import check

SETTINGS = Settings()
JSON = {"content-type": "application/json"}


def refused(schema: type[BaseModel], content: bytes) -> dict[str, Any]:
    with pytest.raises(TagwerkError) as caught:
        parse(content, schema, SETTINGS)
    return problem.document(caught.value)


@pytest.mark.parametrize(
    ("schema", "body", "count"),
    [
        (request_schemas.TagRequest, {"text": [1] * 1000}, 1000),
        (request_schemas.TagRequest, {"tokens": [[1] * 100_000]}, 100_000),
        (request_schemas.TagRequest, {"tokens": [["a", " "] * 50, [], 7]}, 52),
        (request_schemas.TagRequest, {"text": "a", **dict.fromkeys(map(str, range(50_000)), 1)}, 50_000),
        (request_schemas.GenerateRequest, {"prompt": "a", "stop": [1] * 100_000}, 1),
        (CompletionRequest, {"model": "lm", "prompt": [7] * 30}, 30),
        (CompletionRequest, {"model": "lm", "prompt": "a", "logit_bias": {str(n): "x" for n in range(50_000)}}, 1),
    ],
)
def test_the_first_twenty_errors_are_described_and_all_are_counted(schema, body, count):
    found = refused(schema, json.dumps(body).encode())
    assert found["error_count"] == count
    assert len(found["errors"]) == min(count, 20)
    assert len(json.dumps(found)) < 5000
    assert count <= 3 or found["detail"].endswith(f"; {count - 3} more")


def test_other_protocols_count_the_errors_too():
    found = check(post("/v1/completions", json.dumps({"model": "lm", "prompt": [7] * 30}).encode()), 422)
    assert (found.error_count, len(found.errors)) == (30, 20)
    assert found.error["message"].endswith("; 27 more")
    outputs = [{"name": 7, "colour": n} for n in range(20)]
    found = check(post("/v2/models/classifier/infer", json.dumps({"inputs": [{}], "outputs": outputs}).encode()), 422)
    assert (found.error_count, len(found.errors)) == (43, 20)
    assert found.error.endswith("; 40 more")


HUGE = {
    "numbers": b'{"text":[' + b"1," * 2_000_000 + b"1]}",
    "lists": b'{"text":[' + b"[]," * 1_000_000 + b"1]}",
    "objects": b"[" + b'{"a":{}},' * 400_000 + b"1]",
    "keys": b"{" + b",".join(b'"%d":1' % n for n in range(300_000)) + b"}",
}


@pytest.mark.parametrize("path", ["/tag", "/classify", "/generate", "/v1/completions", "/v2/models/classifier/infer"])
@pytest.mark.parametrize("content", HUGE.values(), ids=HUGE)
def test_more_json_than_any_valid_request_has_is_refused_before_it_is_parsed(monkeypatch, path, content):
    def parsed(*_: object, **__: object) -> None:
        pytest.fail("it was parsed")

    monkeypatch.setattr(http_body, "from_json", parsed)
    found = check(post(path, content), 413)
    assert found.errors[0].pointer == ""
    assert found.errors[0].allowed.startswith("at most 207168")
    if not path.startswith("/v"):
        (line,) = post(path, content, {"content-type": "application/x-ndjson"}).text.splitlines()
        assert json.loads(line)["error"]["status"] == 413


SMALL = Settings(max_text_characters=60, max_items=4)
STOP = {"stop": [",:[]{}" * 16] * 16}  # 1555 marks, with the one before it


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    ("schema", "body", "beside"),
    [
        (request_schemas.ClassifyRequest, {"text": ",:[]{}" * 10}, 3),
        (request_schemas.ClassifyRequest, {"text": [",:[]{}" * 2 + "," * 3] * 4}, 5),
        (request_schemas.TagRequest, {"tokens": [[","] * 30]}, 5),
        (request_schemas.TagRequest, {"tokens": [[":"] * 8] * 4}, 5),
        (request_schemas.GenerateRequest, {"prompt": [":" * 15] * 4, **STOP}, 5 + 1555),
        (CompletionRequest, {"model": "lm", "prompt": ["{" * 15] * 4, **STOP, "user": "," * 1000}, 5 + 1555 + 1004),
    ],
)
def test_every_request_within_the_limits_passes_the_limit_on_json(schema, body, beside, indent, monkeypatch):
    monkeypatch.setattr(http_body, "MARKS_BESIDE", beside)  # those of other fields, and around the items
    parse(json.dumps(body, indent=indent).encode(), schema, SMALL)
    with pytest.raises(TooLarge):
        parse(json.dumps(body | {"user": ",:" * 2000}).encode(), schema, SMALL)


@pytest.mark.parametrize(
    "content",
    [
        b'{"text":' + b"9" * 4_000_000 + b"}",
        b'{"text":"a","n_best":' + b"9" * 4_300 + b"}",
        b'{"text":0.' + b"9" * 4_000_000 + b"}",
        b'{"text":"a","offsets":"' + b"a" * 4_000_000 + b'"}',
        b'{"text":"a","' + b"a" * 4_000_000 + b'":1}',
        b'{"text":' + b"[" * 150 + b"]" * 150 + b"}",
        b'{"text":' + b"[" * 100_000,
        b'{"text":"\\ud800' + b"a" * 100_000 + b'"}',
        b"{" + b",".join(b'"\\ud800%d":1' % n for n in range(3000)) + b"}",
    ],
)
def test_an_error_repeats_nothing_long(content):
    assert len(json.dumps(refused(request_schemas.TagRequest, content))) < 5000


def test_a_number_that_is_long_is_refused_without_being_repeated():
    body = b'{"prompt": "a", "%s": ' + b"9" * 4000 + b"}"
    for name in (b"max_tokens", b"temperature", b"top_k", b"top_p", b"seed", b"n", b"logprobs"):
        response = post("/generate", body % name)
        assert check(response, response.status_code).status in (413, 422)
        assert len(response.content) < 1000


async def test_large_bodies_are_parsed_one_an_iteration_of_the_event_loop(monkeypatch):
    """Between two of them, everything else that is ready has its turn."""
    large, parsed = json.dumps({"text": [1] * 40_000}).encode(), []
    parse = http_body.parse

    def noted(content: bytes, *more: Any) -> Any:
        parsed.append((iterations[0], len(content) > http_body.LARGE_BYTES))
        return parse(content, *more)

    async with counted_iterations() as iterations, scene() as client:
        monkeypatch.setattr(http_body, "parse", noted)
        asked = [client.post("/classify", content=large, headers=JSON) for _ in range(5)]
        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {413}
    moments = [iteration for iteration, is_large in parsed if is_large]
    assert len(moments) == 5
    assert len(set(moments)) == 5

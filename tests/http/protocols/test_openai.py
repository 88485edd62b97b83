"""OpenAI's own Python client, which checks the answers by its own schemas, against the real server."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.conftest import Server
from tests.http.test_generate import generate
from tests.http.test_problems import check

MODEL = "lm-shakespeare"


@pytest.fixture(scope="module")
def ai(server: Server) -> Iterator[openai.OpenAI]:
    settings: dict[str, Any] = {"base_url": f"{server.url}/v1", "api_key": "none", "max_retries": 0}
    with openai.OpenAI(**settings, _strict_response_validation=True) as made:
        yield made


@pytest.fixture(scope="module")
def streaming(server: Server) -> Iterator[openai.OpenAI]:
    """Its schemas do not know that the finish reason of a chunk is null, though OpenAI's own server says so."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_a_completion_is_what_generate_says(ai, client):
    answer = ai.completions.create(model=MODEL, prompt="ROMEO:", max_tokens=40, seed=7)
    (expected,) = generate(client, seed=7)
    version = client.post("/generate", json={"prompt": "A", "max_tokens": 1}).json()["version"]
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason, choice.index) == (expected["text"], "length", 0)
    assert (answer.model, answer.object, answer.system_fingerprint) == (MODEL, "text_completion", f"{MODEL}/{version}")
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (6, 40, 46)


def test_what_is_left_out_has_openais_defaults(ai):
    answer = ai.completions.create(model=MODEL, prompt="A", temperature=None, stop=None, n=None)
    assert answer.usage.completion_tokens == 16


def test_several_prompts_and_texts_come_in_order_with_an_echo(ai, client):
    answer = ai.completions.create(model=MODEL, prompt=["A", "B"], n=2, max_tokens=10, seed=3, echo=True)
    texts = [result["text"] for result in generate(client, ["A", "B"], n=2, max_tokens=10, seed=3)]
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in answer.choices] == [p + t for p, t in zip("AABB", texts, strict=True)]


def rows(choice: Any) -> list[tuple[str, float, dict[str, float], int]]:
    """Returns each token of a text, its log probability, the most probable tokens in its place, and its offset."""
    found = choice.logprobs
    return list(zip(found.tokens, found.token_logprobs, found.top_logprobs, found.text_offset, strict=True))


def test_logprobs_have_openais_shape_whole_and_streamed(ai, streaming, client):
    wish: dict[str, Any] = {"prompt": ["ROMEO:", "A"], "max_tokens": 20, "seed": 7, "logprobs": 2}
    whole = ai.completions.create(model=MODEL, **wish).choices
    for choice, expected in zip(whole, generate(client, **wish), strict=True):
        assert "".join(choice.logprobs.tokens) == choice.text == expected["text"]
        assert choice.logprobs.token_logprobs == [one["logprob"] for one in expected["logprobs"]]
        for i, (token, logprob, top, offset) in enumerate(rows(choice)):
            assert (top[token], offset) == (logprob, i)
            assert 2 <= len(top) <= 3, "the two most probable, and the token itself"
    parts: list[list[Any]] = [[], []]
    with streaming.completions.create(model=MODEL, **wish, stream=True) as chunks:
        for choice in (choice for chunk in chunks for choice in chunk.choices if choice.text):
            parts[choice.index] += rows(choice)
    assert parts == [rows(choice) for choice in whole]
    (none,) = ai.completions.create(model=MODEL, prompt="A", max_tokens=2, logprobs=0).choices
    assert [list(top) for top in none.logprobs.top_logprobs] == [[token] for token in none.logprobs.tokens]
    with pytest.raises(openai.UnprocessableEntityError, match="logprobs"):
        ai.completions.create(model=MODEL, prompt="A", logprobs=1, echo=True)


def test_a_stream_has_the_same_text_and_the_usage(ai, streaming):
    wish = {"model": MODEL, "prompt": ["ROMEO:", "A"], "max_tokens": 30, "seed": 7, "echo": True}
    whole = ai.completions.create(**wish)
    texts, reasons, usage, count = ["", ""], {}, None, 0
    with streaming.completions.create(**wish, stream=True, stream_options={"include_usage": True}) as chunks:
        for chunk in chunks:
            count += 1
            assert chunk.object == "text_completion"
            usage = chunk.usage
            for choice in chunk.choices:
                texts[choice.index] += choice.text
                reasons[choice.index] = choice.finish_reason
    assert count == 2 * 31 + 1, "a chunk a token, an end a text, the usage"
    assert texts == [choice.text for choice in whole.choices]
    assert reasons == {0: "length", 1: "length"}
    assert usage == whole.usage


def test_an_error_midway_is_raised(streaming):
    late = {"X-Request-Timeout-Ms": "400"}
    chunks = streaming.completions.create(model=MODEL, prompt="A", max_tokens=4096, stream=True, extra_headers=late)
    with pytest.raises(openai.APIError, match="deadline"):
        for _ in chunks:
            pass


def test_models_are_listed(ai):
    (listed,) = ai.models.list()
    assert (listed.id, listed.owned_by) == (MODEL, "tagwerk")
    assert ai.models.retrieve(MODEL) == listed


def test_errors_are_raised_as_openais(ai):
    with pytest.raises(openai.NotFoundError, match=MODEL) as unknown:
        ai.completions.create(model="gpt-9", prompt="A")
    assert (unknown.value.code, unknown.value.type) == ("model_not_found", "invalid_request_error")
    with pytest.raises(openai.NotFoundError):
        ai.models.retrieve("tagger-en")
    with pytest.raises(openai.UnprocessableEntityError) as invalid:
        ai.completions.create(model=MODEL, prompt="A", temperature=-1)
    assert (invalid.value.param, invalid.value.code) == ("temperature", "invalid_input")
    with pytest.raises(openai.UnprocessableEntityError, match="less than or equal to 0"):
        ai.completions.create(model=MODEL, prompt="A", frequency_penalty=1)
    with pytest.raises(openai.UnprocessableEntityError, match="logprobs"):
        ai.completions.create(model=MODEL, prompt="A", logprobs=6)
    with pytest.raises(openai.APIStatusError) as too_large:
        ai.completions.create(model=MODEL, prompt="A", max_tokens=5000)
    assert too_large.value.status_code == 413


@pytest.mark.parametrize("prompt", [7, [], [[]], ["a", 1], [1, 2], {"a": 1}, None])
def test_a_prompt_of_another_kind_is_refused(client, prompt):
    body = {"model": MODEL, "prompt": prompt}
    found = check(client.post("/v1/completions", json=body), 422)
    assert found.errors[0].pointer.startswith("/prompt")


def test_the_errors_stay_problem_documents(client: httpx.Client):
    check(client.post("/v1/completions", content=b"{}", headers={"content-type": "text/plain"}), 415)
    assert check(client.get("/v1/nothing"), 404).error["code"] == "not_found"

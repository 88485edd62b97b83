import math
from typing import Any

import httpx

from service.api import answer_schemas


def generate(client: httpx.Client, prompt: str | list[str] = "ROMEO:", **wishes: object) -> list[dict[str, Any]]:
    response = client.post("/generate", json={"prompt": prompt, "max_tokens": 40, **wishes})
    assert response.status_code == 200, response.text
    answer_schemas.GenerateAnswer.model_validate(response.json(), strict=True, extra="forbid")
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_the_same_seed_gives_the_same_text_and_another_gives_another(client):
    first, again, other = (generate(client, seed=seed)[0] for seed in (7, 7, 8))
    assert first == again
    assert first["text"] != other["text"]
    assert (first["tokens"], first["finish_reason"], first["seed"]) == (40, "length", 7)
    assert len(first["text"]) == 40


def test_a_seed_that_was_not_given_is_told_and_repeats(client):
    (text,) = generate(client)
    assert generate(client, seed=text["seed"]) == [text]


def test_temperature_zero_is_greedy_and_needs_no_seed(client):
    (greedy,) = generate(client, temperature=0, seed=1)
    assert generate(client, temperature=0, seed=2)[0]["text"] == greedy["text"]
    assert generate(client, top_k=1, seed=3)[0]["text"] == greedy["text"]


def test_a_stop_string_ends_the_text_and_is_left_out(client):
    (whole,) = generate(client, seed=7, max_tokens=200)
    stop = whole["text"][50:53]
    (cut,) = generate(client, seed=7, max_tokens=200, stop=stop)
    assert cut["text"] == whole["text"][: whole["text"].index(stop)]
    assert cut["finish_reason"] == "stop"
    assert cut["tokens"] == len(cut["text"]) + 3


def test_prompts_are_answered_in_order_and_as_each_alone(client):
    prompts = ["ROMEO:", "", "JULIET:\nO " * 30, "äöü 🙂"]
    together = generate(client, prompts, seed=5)
    assert together == [generate(client, prompt, seed=5)[0] for prompt in prompts]


def test_each_character_has_its_log_probability_and_the_most_probable_ones(client):
    (plain,) = generate(client, seed=7)
    (text,) = generate(client, seed=7, logprobs=3)
    choices = text.pop("logprobs")
    assert text == plain
    assert "".join(choice["token"] for choice in choices) == text["text"]
    for choice in choices:
        top = [one["logprob"] for one in choice["top"]]
        assert len(top) == 3
        assert top == sorted(top, reverse=True)
        assert sum(map(math.exp, top)) <= 1 + 1e-5
        assert choice["logprob"] <= max(top) <= 0
        known = {one["token"]: one["logprob"] for one in choice["top"]}
        assert known.get(choice["token"], choice["logprob"]) == choice["logprob"]
    assert any(choice["token"] != choice["top"][0]["token"] for choice in choices), "it is sampled"

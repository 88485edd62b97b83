"""Generated text, whole and as server-sent events, from the real server."""

import json
import math
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.api import answer_schemas
from service.api.events import HEARTBEAT
from service.http.problem import Problem
from service.pipelines import generation
from tests.conftest import SMALL
from tests.http.running import running
from tests.http.wire import post
from tests.waiting import until, wait_until


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


def events(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """Reads events as the HTML standard says, one a block; comments are left out."""
    kind, data = "message", ""
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data += value
        elif not line and data:
            yield kind, json.loads(data)
            kind, data = "message", ""


def stream(
    client: httpx.Client, headers: dict[str, Any] | None = None, **wishes: object
) -> list[tuple[str, dict[str, Any]]]:
    body = {"prompt": "ROMEO:", "max_tokens": 40, "seed": 7, "stream": True, **wishes}
    with client.stream("POST", "/generate", json=body, headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(events(response))


def texts(found: list[tuple[str, dict[str, Any]]]) -> dict[int, str]:
    """Returns the texts put together again, by index."""
    together: dict[int, str] = {}
    for kind, data in found:
        together[data["index"]] = together.get(data["index"], "") + (data["text"] if kind == "message" else "")
    return together


def test_the_chunks_are_the_text_that_json_has(client):
    found = stream(client)
    (whole,) = generate(client, seed=7)
    assert texts(found) == {0: whole["text"]}
    assert [kind for kind, _ in found] == ["message"] * 40 + ["finish"], "a chunk a step"
    assert found[-1][1] == {"index": 0, "finish_reason": "length", "tokens": 40, "seed": 7}


def test_the_accept_header_asks_for_events_too(client):
    assert stream(client, {"Accept": "text/event-stream"}, stream=False) == stream(client)


def test_no_part_of_a_stop_string_is_shown(client):
    (whole,) = generate(client, seed=7, max_tokens=200)
    stop = whole["text"][50:55]
    found = stream(client, stop=[stop, "never comes"], max_tokens=200)
    assert texts(found) == {0: whole["text"][: whole["text"].index(stop)]}
    assert found[-1][1]["finish_reason"] == "stop"


def test_n_texts_for_each_prompt_come_side_by_side_and_are_those_of_their_seeds(client):
    wish: dict[str, Any] = {"n": 2, "seed": 2**53 - 1, "max_tokens": 1000}  # longer than it takes all four to begin
    found = stream(client, prompt=["A", "B"], **wish)
    ends = {data["index"]: data["seed"] for kind, data in found if kind == "finish"}
    assert ends == {0: 2**53 - 1, 1: 0, 2: 2**53 - 1, 3: 0}
    together = generate(client, ["A", "B"], **wish)
    assert texts(found) == {i: result["text"] for i, result in enumerate(together)}
    assert together[3] == generate(client, "B", seed=0, max_tokens=1000)[0]
    first_end = next(i for i, (kind, _) in enumerate(found) if kind == "finish")
    assert {data["index"] for _, data in found[:first_end]} == {0, 1, 2, 3}


def test_an_error_before_the_first_event_has_its_status(client):
    response = client.post("/generate", json={"prompt": "a", "stream": True, "max_tokens": 5000})
    assert (response.status_code, response.json()["type"]) == (413, "urn:tagwerk:problem:too-large")
    response = client.post("/generate", json={"prompt": ["a"] * 600, "n": 2, "stream": True})
    assert response.json()["errors"][0]["problem"] == "600 items with 2 answers each"


def test_each_chunk_has_its_log_probabilities(client):
    found = stream(client, max_tokens=10, seed=7, logprobs=1)
    (text,) = generate(client, max_tokens=10, seed=7, logprobs=1)
    chunks = [data for kind, data in found if kind == "message"]
    assert all("".join(c["token"] for c in chunk["logprobs"]) == chunk["text"] for chunk in chunks)
    assert [choice for chunk in chunks for choice in chunk["logprobs"]] == text["logprobs"]


def test_an_error_midway_is_an_event(client):
    *messages, (kind, error) = stream(client, {"X-Request-Timeout-Ms": "400"}, max_tokens=4096)
    assert {kind for kind, _ in messages} == {"message"}
    assert kind == "error"
    problem = Problem.model_validate(error)
    assert problem.type.endswith("deadline-exceeded")
    assert problem.timing_ms


@pytest.mark.parametrize(("stream", "status"), [(False, 499), (True, 200)])
def test_a_client_that_goes_away_frees_its_slots(server, stream, status):
    counted = ("tagwerk_cancelled_total", f'tagwerk_requests_total{{route="/generate",status="{status}"}}')
    before = [server.metric(name) for name in counted]
    wish = {"prompt": "ROMEO:", "max_tokens": 4096, "n": 32, "stream": stream}  # more texts than there are slots
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(post("/generate", json.dumps(wish).encode()))
        wait_until(lambda: server.metric("tagwerk_slots_in_use") == int(SMALL["TAGWERK_SLOTS"]))
    wait_until(lambda: server.metric("tagwerk_slots_in_use") == 0)
    wait_until(lambda: [server.metric(name) for name in counted] == [value + 1 for value in before])


async def test_a_heartbeat_comes_while_nothing_else_does(monkeypatch):
    monkeypatch.setattr(generation, "HEARTBEAT_SECONDS", 0.01)
    async with running() as service:
        service.device.go.clear()
        _, wire = service.send(post("/generate", b'{"model": "lm", "prompt": "a", "max_tokens": 1, "stream": true}'))
        await until(lambda: b"".join(wire.written).count(HEARTBEAT) >= 2)
        service.device.go.set()
        await until(lambda: wire.written[-1].endswith(b"0\r\n\r\n"))
    written = b"".join(wire.written)
    assert 0 < written.index(b'"text":"b"') < written.index(b"event: finish")

"""The service as an application of Ray Serve."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import CACHE, STORE, free_port

ray = pytest.importorskip("ray", reason="the extra ray is not installed: make ray-test")
serve = pytest.importorskip("ray.serve", reason="the extra ray is not installed: make ray-test")
pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    from service.ray_app import build

    port = free_port()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(build({"model_store": str(STORE), "xla_cache": str(CACHE), "batch_sizes": "1,4"}))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    serve.shutdown()
    ray.shutdown()


def test_each_task_is_answered(client):
    tagged = client.post("/tag", json={"text": "Dogs bark."}).json()
    assert [token["upos"] for token in tagged["results"][0]["sentences"][0]["tokens"]] == ["NOUN", "VERB", "PUNCT"]
    classified = client.post("/classify", json={"text": "A warm, funny film."}).json()
    assert classified["results"][0]["label"] == "positive"
    generated = client.post("/generate", json={"prompt": "ROMEO:", "max_tokens": 5, "seed": 7}).json()
    assert len(generated["results"][0]["text"]) == 5


def test_it_is_ready_before_the_first_request_and_says_what_it_serves(client):
    assert client.get("/readyz").status_code == 200
    assert {"tagger-en", "sentiment-en"} <= {model["name"] for model in client.get("/models").json()["models"]}
    assert "tagwerk_queue_entries" in client.get("/metrics").text


def test_errors_and_lines_are_those_of_the_service(client):
    problem = client.post("/tag", json={"txt": "a"})
    assert (problem.status_code, problem.headers["content-type"]) == (422, "application/problem+json")
    lines = b'{"text": "Fine."}\n{"text": "Bad."}\n'
    answer = client.post("/classify", content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert len(answer.text.splitlines()) == 2


def test_a_replica_that_is_killed_is_replaced(client):
    pid = replica_pid()
    os.kill(pid, signal.SIGKILL)
    ends = time.monotonic() + 90
    while time.monotonic() < ends:
        try:
            if client.post("/tag", json={"text": "Dogs bark."}).status_code == 200 and replica_pid() != pid:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    pytest.fail("no replica took its place")


def replica_pid() -> int:
    """Returns the process of the replica; 0 if there is none now."""
    found = [path for path in Path("/proc").glob("[0-9]*") if is_replica(path)]
    return int(found[0].name) if found else 0


def is_replica(process: Path) -> bool:
    try:
        return b"ServeReplica" in (process / "cmdline").read_bytes()
    except OSError:
        return False

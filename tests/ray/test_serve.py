"""The service as an application of Ray Serve."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psutil
import pytest

from tests.conftest import CACHE, STORE, free_port
from tests.waiting import wait_until

ray = pytest.importorskip("ray", reason="the extra ray is not installed: make ray-test")
serve = pytest.importorskip("ray.serve", reason="the extra ray is not installed: make ray-test")
pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    from service.process.ray_app import build

    port = free_port()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(build({"model_store": str(STORE), "xla_cache": str(CACHE), "batch_sizes": "1,4"}))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    serve.shutdown()
    ray.shutdown()


def test_each_task_is_answered(client):
    tagged = client.post("/tag", json={"text": "She sings."}).json()
    assert [token["upos"] for token in tagged["results"][0]["sentences"][0]["tokens"]] == ["PRON", "VERB", "PUNCT"]
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

    def replaced() -> bool:
        with suppress(httpx.HTTPError):
            return client.post("/tag", json={"text": "Dogs bark."}).status_code == 200 and replica_pid() != pid
        return False

    wait_until(replaced, 90)


def test_a_replica_is_added_while_more_requests_are_in_progress_than_one_is_to_have(client):
    from service.process.ray_app import ONGOING

    assert len(replicas()) == 1
    statuses: set[int] = set()
    # So long that they wait for the model, not for Ray's proxy, even where that has little of a core.
    text = ("Dogs bark and " * 40 + "cats sleep. ") * 8

    async def ask_until_there_are_two() -> None:
        added = asyncio.Event()

        async def ask(asker: httpx.AsyncClient) -> None:
            while not added.is_set():
                answer = await asker.post("/tag", json={"text": text})
                statuses.add(answer.status_code)

        limits = httpx.Limits(max_connections=None)
        async with (
            httpx.AsyncClient(base_url=client.base_url, timeout=60, limits=limits) as asker,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(3 * ONGOING):
                group.create_task(ask(asker))
            await asyncio.to_thread(wait_until, lambda: len(replicas()) == 2, 180)
            added.set()

    asyncio.run(ask_until_there_are_two())
    assert statuses == {200}


def replica_pid() -> int:
    """Returns the process of the replica; 0 if there is none now."""
    return next(iter(replicas()), 0)


def replicas() -> list[int]:
    """Returns the processes of the replicas."""
    return [
        each.pid for each in psutil.process_iter(["cmdline"]) if "ServeReplica" in "".join(each.info["cmdline"] or ())
    ]

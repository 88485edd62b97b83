"""A task that is added by a pipeline, its schemas and a route runs a model of the store."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.conftest import CACHE, free_port
from tests.waiting import wait_until

TEXTS = ["a good film", "dull and bad", "so it goes", "a bad film, good cast", "good"]


@pytest.fixture
def client(tiny_versions: Path) -> Iterator[httpx.Client]:
    """Returns a client of the service with the added task."""
    port = free_port()
    settings = {"TAGWERK_LOAD": "sentiment-tiny", "TAGWERK_BATCH_SIZES": "1,8", "TAGWERK_XLA_CACHE": str(CACHE)}
    command = [sys.executable, "-m", "tests.e2e.added_task", str(tiny_versions), str(port)]
    with (
        subprocess.Popen(command, env=os.environ | settings) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as made,
    ):

        def ready() -> bool:
            assert process.poll() is None, "it has ended"
            with suppress(httpx.ConnectError):
                return made.get("/readyz").status_code == 200
            return False

        try:
            wait_until(ready, 240)
            yield made
        finally:
            process.terminate()


def test_an_added_task_runs_a_model_of_the_store_over_http(client):
    results = client.post("/classify", json={"text": TEXTS}).json()["results"]
    label = results[0]["label"]
    scores = [result["scores"][label] for result in results]
    assert len(set(scores)) > 2, "texts are told apart"
    ranked = client.post("/rank", json={"text": TEXTS, "label": label}).json()
    assert (ranked["model"], ranked["version"]) == ("sentiment-tiny", "1")
    by_place = [scores[ranked["results"].index(place)] for place in range(len(TEXTS))]
    assert by_place == sorted(scores, reverse=True)
    assert client.post("/rank", json={"text": TEXTS}).status_code == 422
    assert "/rank" in client.get("/openapi.json").json()["paths"]
    assert 'tagwerk_requests_total{route="/rank",status="200"} 1.0' in client.get("/metrics").text

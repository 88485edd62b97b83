"""LitServe: FastAPI in one process, batches in others.

`python -m loadtests.peers.litserve_server --port 8000`. Waiting 5 or 10 ms for a
batch serves a few percent more at 64 clients, and less at 16 and at one. Its faster queue and a second process for
HTTP made no difference on two cores.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import litserve
from fastapi import Response

from loadtests.peers.answers import ENDPOINT, MOST, Answers
from loadtests.peers.workers import WORKERS
from service.pipelines.formats import to_json

WAIT_SECONDS = 0.001


class Batches(litserve.LitAPI):
    """Answers batches."""

    def setup(self, device: str) -> None:
        """Loads the model, in a worker."""
        self.answers = Answers()

    def decode_request(self, request: dict[str, Any]) -> str:
        """Returns the text of a request."""
        return request["text"]

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Returns the answer to each text."""
        return self.answers(texts)

    def encode_response(self, output: dict[str, Any]) -> Response:
        """Encodes an answer in the worker; FastAPI's own way from a dictionary is slower."""
        return Response(to_json(output), media_type="application/json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    api = Batches(max_batch_size=MOST, batch_timeout=WAIT_SECONDS, api_path=f"/{ENDPOINT}")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS)
    server.run(
        host="127.0.0.1",
        port=parser.parse_args().port,
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )

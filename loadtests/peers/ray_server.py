"""Ray Serve: HAProxy, and replicas that batch by its decorator.

`python -m loadtests.peers.ray_server --port 8000`, with RAY_SERVE_THROUGHPUT_OPTIMIZED=1 and
RAY_SERVE_ENABLE_HA_PROXY=1, which its documentation advises for high throughput: requests go to the replicas
directly, which takes far less processor time. Waiting 10 ms for a batch serves no more than 1 ms at 64 clients, and
less at 16.
"""

import argparse
from typing import Any

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from loadtests.peers.answers import ENDPOINT, MOST, Answers
from loadtests.peers.workers import WORKERS
from service.pipelines import formats  # Ray pickles what this module names itself, and an encoder cannot be

WAIT_SECONDS = 0.001


@serve.deployment(num_replicas=WORKERS, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0})
class Batches:
    """Answers batches."""

    def __init__(self) -> None:
        self.answers = Answers()

    @serve.batch(max_batch_size=MOST, batch_wait_timeout_s=WAIT_SECONDS)
    async def answer(self, texts: list[str]) -> list[dict[str, Any]]:
        """Returns the answer to each text."""
        return self.answers(texts)

    async def __call__(self, request: Request) -> Response:
        """Answers a request."""
        body = await request.json()
        return Response(formats.to_json(await self.answer(body["text"])), media_type="application/json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    ray.init(include_dashboard=False, configure_logging=False)
    serve.start(
        http_options={"host": "127.0.0.1", "port": parser.parse_args().port},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    serve.run(Batches.bind(), route_prefix=f"/{ENDPOINT}", blocking=True)

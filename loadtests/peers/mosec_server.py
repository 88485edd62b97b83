"""mosec: HTTP and batching in Rust, Python in worker processes.

`python -m loadtests.peers.mosec_server --port 8000`. A worker does the whole way from text to answer: a stage of its
own for texts costs more than it takes off the worker that runs the model. mosec's shortest wait is 1 ms.
"""

from collections.abc import Sequence
from typing import Any

from mosec import Server, Worker

from loadtests.peers.answers import ENDPOINT, MOST, Answers
from loadtests.peers.workers import WORKERS
from service.pipelines.formats import to_json

WAIT_MILLISECONDS = 1


class Batches(Worker):
    """Answers batches."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = Answers()

    def forward(self, data: Sequence[Any]) -> list[dict[str, Any]]:
        """Takes the bodies of requests."""
        return self.answers([body["text"] for body in data])

    def serialize(self, data: dict[str, Any]) -> bytes:
        """Encodes an answer; mosec itself indents its JSON."""
        return to_json(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(
        Batches, num=WORKERS, max_batch_size=MOST, max_wait_time=WAIT_MILLISECONDS, timeout=30, route=f"/{ENDPOINT}"
    )
    server.run()

"""BentoML: a service with adaptive batching.

`bentoml serve loadtests.peers.bentoml_service:Batches --port 8000`. A batched endpoint takes and gives lists, one
element a request here. BentoML's own way to unpack them, a service that calls another, is a second trip over HTTP; so
`text` is put into a list as it is read, and the answer comes in one. `max_latency_ms` stays at its default: with 100
ms it refuses requests at 64 clients, and with 1000 ms a client that is alone waits longer.
"""

from typing import Annotated, Any

import bentoml
from pydantic import BeforeValidator

from loadtests.peers.answers import ENDPOINT, MOST, Answers
from loadtests.peers.workers import WORKERS

OneText = Annotated[list[str], BeforeValidator(lambda text: [text])]


@bentoml.service(name="batches", workers=WORKERS, traffic={"timeout": 30}, metrics={"enabled": False})
class Batches:
    """Answers batches."""

    def __init__(self) -> None:
        self.answers = Answers()

    @bentoml.api(route=f"/{ENDPOINT}", batchable=True, max_batch_size=MOST)
    def answer(self, text: OneText) -> list[dict[str, Any]]:
        """Returns the answer to each text."""
        return self.answers(text)

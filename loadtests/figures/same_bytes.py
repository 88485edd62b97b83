"""Measures the share of answers that are the same to the byte alone and beside other clients."""

import http.client
import json
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from loadtests.aims import SAME_BYTES, Figure
from loadtests.figures.base import SATURATION, Plan
from loadtests.rounds import command, say
from loadtests.servers import Server
from loadtests.text import running_text

REQUESTS = 2000
CONNECTIONS = 8
MOST_SECONDS = 3600.0


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the share of answers that have the same bytes alone and beside 64 other clients."""
    texts = [sentence.text for sentence in running_text()[:REQUESTS]]
    figures = []
    for endpoint in ("tag", "classify"):
        alone = answers(service.address, endpoint, texts)
        with other_clients(service, endpoint), ThreadPoolExecutor(CONNECTIONS) as pool:
            size = -(-len(texts) // CONNECTIONS)
            parts = [texts[first : first + size] for first in range(0, len(texts), size)]
            beside = [each for part in pool.map(partial(answers, service.address, endpoint), parts) for each in part]
        differing = [text for text, one, other in zip(texts, alone, beside, strict=True) if one != other]
        for text in differing[:3]:
            say(f"/{endpoint} answers differently: {text!r}")
        share = 100 * (1 - len(differing) / len(texts))
        what = f"answers of /{endpoint} that are the same to the byte alone and beside {SATURATION} clients"
        figures.append(Figure(what, share, SAME_BYTES, f"{len(differing)} of {len(texts)} differ"))
    return figures


def answers(address: str, endpoint: str, texts: Sequence[str]) -> list[bytes]:
    """Returns the answers to texts, one after the other. Raises RuntimeError where one is refused."""
    connection = http.client.HTTPConnection(address, timeout=30)
    found = []
    for text in texts:
        connection.request("POST", f"/{endpoint}", json.dumps({"text": text}), {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            found.append(response.read())
            if response.status != 200:
                raise RuntimeError(f"/{endpoint} answers {response.status} to {text!r}")
    connection.close()
    return found


@contextmanager
def other_clients(service: Server, endpoint: str) -> Iterator[None]:
    """Keeps the service busy with other requests throughout the block."""
    client = command(f"{service.address}/{endpoint}", SATURATION, MOST_SECONDS)
    with subprocess.Popen(client, stdout=subprocess.DEVNULL) as process:
        try:
            yield
            if process.poll() is not None:
                raise RuntimeError("the other clients were done first")
        finally:
            process.kill()

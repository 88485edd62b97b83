"""The servers that are compared with this service, and how each is started."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.peers import spacy_model
from loadtests.servers import Server, free_port
from loadtests.traffic import bodies

ROOT = Path(__file__).parents[1]
DEF_OR_ASYNC = {"def": "def/", "async": "async/"}  # as FastAPI offers both
ENVIRONMENT = ROOT / ".venv-peers" / "bin"  # made by `make peers`


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that gives this service's answers to requests to some of its endpoints.

    `kinds` are ways to the same answer, of which the faster counts: what each is called, and how its paths begin. One
    that has another model has `accuracy`, which says how accurate that is; its answers are not compared.
    """

    command: Callable[[str, int], Sequence[str]]  # from the port and the number of processes
    endpoints: Sequence[str] = ("tag", "classify")
    word_memory: Sequence[str] = ("tag",)  # endpoints at which `PEER_WORDS` makes a difference
    kinds: Mapping[str, str] = field(default_factory=lambda: {"": ""})
    environment: Mapping[str, str] = field(default_factory=dict)
    accuracy: Callable[[], str] | None = None  # raises RuntimeError where the model has not been trained

    def start(self, endpoint: str, processes: int, words: bool, folder: Path) -> Server:
        """Starts it for one of its endpoints, with its log and its temporary files in that folder.

        With `words`, it remembers words as the service does.

        Raises RuntimeError where it is missing.
        """
        port = free_port()
        command = self.command(str(port), processes)
        if not Path(command[0]).exists():
            raise RuntimeError(f"{command[0]} is missing; `make peers` makes the peers' environment")
        choices = {"PEER_ENDPOINT": endpoint, "PEER_WORKERS": str(processes), "PEER_WORDS": "1" if words else ""}
        environment = {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), **choices, **self.environment}
        ready = f"/{next(iter(self.kinds.values()))}{endpoint}"
        body = json.dumps(bodies(endpoint)[0]).encode()
        return Server(command, f"127.0.0.1:{port}", ready, body, environment, folder / "log")


def uvicorn(name: str) -> Callable[[str, int], list[str]]:
    """Returns the command of a peer that is an app of FastAPI."""
    program = [sys.executable, "-m", "uvicorn", f"loadtests.peers.{name}:app", "--no-access-log"]
    return lambda port, workers: [*program, "--log-level", "warning", "--port", port, "--workers", str(workers)]


def module(name: str) -> Callable[[str, int], list[str]]:
    """Returns the command of a peer that is a program of its own."""
    return lambda port, _: [str(ENVIRONMENT / "python"), "-m", f"loadtests.peers.{name}", "--port", port]


def bentoml(port: str, _: int) -> list[str]:
    """Returns BentoML's own command."""
    service = "loadtests.peers.bentoml_service:Batches"
    return [str(ENVIRONMENT / "bentoml"), "serve", service, "--host", "127.0.0.1", "--port", port]


PEERS = {
    "plain": Peer(uvicorn("plain_fastapi"), ("tag", "classify", "generate"), (), DEF_OR_ASYNC),
    "mosec": Peer(module("mosec_server")),
    "litserve": Peer(module("litserve_server")),
    "bentoml": Peer(bentoml),
    # What its documentation advises for high throughput.
    "ray": Peer(
        module("ray_server"), environment={"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_HA_PROXY": "1"}
    ),
    "spacy": Peer(uvicorn("spacy_fastapi"), ("tag",), (), DEF_OR_ASYNC, accuracy=spacy_model.accuracy),
}

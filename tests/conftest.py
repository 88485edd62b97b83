import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
STORE = Path(os.environ.get("TAGWERK_MODEL_STORE") or ROOT / "model_store")

# A small grid starts sooner; the service is the same.
SMALL = {"TAGWERK_BATCH_SIZES": "1,8", "TAGWERK_LENGTH_BUCKETS": "16,64", "TAGWERK_PREFILL_TOKENS": "16"}


class Server:
    """The real service in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    def wait_until_ready(self, seconds: float = 240) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        pytest.fail(f"not ready after {seconds} s: {self.log.read_text()}")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


# All servers of a test run compile the same shapes.
CACHE = tempfile.TemporaryDirectory(prefix="tagwerk-xla-")


@contextmanager
def start_server(log: Path, **environment: str) -> Iterator[Server]:
    """Starts `tagwerk serve` on a free port; ends it for sure."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "TAGWERK_MODEL_STORE": str(STORE),
        "TAGWERK_PORT": str(port),
        "TAGWERK_XLA_CACHE": CACHE.name,
        **SMALL,
        **environment,
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            env={**os.environ, **settings},
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield Server(process, f"http://127.0.0.1:{port}", log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One running service for all tests that only ask it things."""
    with start_server(tmp_path_factory.mktemp("server") / "log") as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    """Asks the running service."""
    with httpx.Client(base_url=server.url, timeout=60) as made:
        yield made

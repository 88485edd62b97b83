"""The compose stack, built and brought up for real: make containers-test.

It asks `docker compose` with the files of COMPOSE_FILE, by default the project's own, and a small grid of shapes.
"""

import json
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker" / "docker-compose.yml"
SENTENCE = {"text": "The quick brown fox jumps over the lazy dog."}
SMALL = {"TAGWERK_BATCH_SIZES": "1,8", "TAGWERK_LENGTH_BUCKETS": "16", "TAGWERK_SLOTS": "4"}
KILL_THE_ENGINE = """
import os, pathlib, signal
for place in pathlib.Path("/proc").glob("[0-9]*"):
    command = (place / "cmdline").read_bytes().split(bytes(1))
    if b"engine" in command and b"--lifeline" in command:
        os.kill(int(place.name), signal.SIGKILL)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Stack:
    """What one profile brings up."""

    def __init__(self, profile: str, folder: Path) -> None:
        ports = {name: free_port() for name in ("TAGWERK", "PROMETHEUS", "GRAFANA")}
        self.url, self.prometheus, self.grafana = (f"http://127.0.0.1:{port}" for port in ports.values())
        small = folder / "small.yml"
        built = [
            name for name, service in yaml.safe_load(COMPOSE.read_text())["services"].items() if "build" in service
        ]
        small.write_text(yaml.safe_dump({"services": {name: {"environment": SMALL} for name in built}}))
        files = os.environ.get("COMPOSE_FILE", str(COMPOSE)).split(":")
        self._environment = {
            **os.environ,
            **{f"{name}_PUBLISH": f"127.0.0.1:{port}" for name, port in ports.items()},
            "COMPOSE_FILE": ":".join([*files, str(small)]),
            "COMPOSE_PROFILES": profile,
            "COMPOSE_PROJECT_NAME": "tagwerk-test",
        }

    def compose(self, *arguments: str) -> str:
        """Runs `docker compose`; returns what it prints."""
        return self._run("docker", "compose", *arguments)

    def inspect(self, service: str, what: str) -> list[str]:
        """Returns something of each container of a service, also of those that have ended."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        return self._run("docker", "inspect", "--format", what, *ids).split()

    def kill(self, container: str) -> None:
        """Kills a container."""
        self._run("docker", "kill", container)

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, env=self._environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def asked(self, query: str) -> list[dict[str, object]]:
        """Returns what Prometheus answers to a query."""
        response = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": query}, timeout=30)
        assert response.status_code == 200, f"{query}: {response.text}"
        return response.json()["data"]["result"]

    def firing(self) -> set[str]:
        """Returns the alerts that fire."""
        alerts = httpx.get(f"{self.prometheus}/api/v1/alerts", timeout=30).json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def up(self) -> set[str]:
        """Returns the jobs of which Prometheus scrapes a target that answers."""
        targets = httpx.get(f"{self.prometheus}/api/v1/targets", timeout=30).json()["data"]["activeTargets"]
        return {target["scrapePool"] for target in targets if target["health"] == "up"}

    def tag(self) -> httpx.Response:
        """Asks for tags."""
        return httpx.post(f"{self.url}/tag", json=SENTENCE, timeout=60)


@contextmanager
def brought_up(profile: str, folder: Path) -> Iterator[Stack]:
    """Builds a profile and brings it up, healthy; takes it down for sure."""
    stack = Stack(profile, folder)
    try:
        stack.compose("build", "--quiet")
        stack.compose("up", "--wait", "--wait-timeout", "900")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "45")


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "never came true"
        time.sleep(1)


def test_one_service_is_watched_and_an_engine_that_is_killed_is_told_of(tmp_path):
    with brought_up("single", tmp_path) as stack:
        assert stack.tag().status_code == 200
        inside = ("exec", "-T", "service")
        assert stack.compose(*inside, "id", "-u").strip() == "10001"
        status = stack.compose(*inside, "cat", "/proc/self/status")
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert stack.compose(*inside, "sh", "-c", "touch /opt/x || echo read-only").strip() == "read-only"
        found = "import importlib.util as u; print(u.find_spec('training'), u.find_spec('pip'))"
        assert stack.compose(*inside, "python", "-c", found).strip() == "None None"
        assert httpx.get(f"{stack.grafana}/api/health").status_code == 200
        wait_until(lambda: stack.up() == {"tagwerk"}, 60)
        for _ in range(5):
            stack.tag()
            httpx.post(f"{stack.url}/generate", json={"prompt": "ROMEO:", "max_tokens": 5}, timeout=60)
        wait_until(lambda: stack.asked("sum(model:tagwerk_padding_waste:ratio5m) > 0"), 120)
        check_dashboard(stack)
        assert not stack.firing()
        stack.compose(*inside, "python", "-c", KILL_THE_ENGINE)
        wait_until(lambda: "TagwerkProcessDied" in stack.firing(), 120)
        wait_until(lambda: stack.tag().status_code == 200, 300)
        assert stack.asked('tagwerk_restarts_total{process="engine"} == 1')
        stack.compose("stop", "service")
        assert stack.inspect("service", "{{.State.ExitCode}}") == ["0"]


def check_dashboard(stack: Stack) -> None:
    """Prometheus understands every query of the dashboard, and each panel but the one of what goes wrong shows data."""
    panels = json.loads((ROOT / "docker" / "grafana" / "dashboards" / "tagwerk.json").read_text())["panels"]
    empty = [p["title"] for p in panels if not [r for t in p["targets"] for r in stack.asked(t["expr"])]]
    assert empty == []


def test_a_replica_that_is_killed_is_left_out_and_no_request_fails(tmp_path):
    with brought_up("replicas", tmp_path) as stack:
        assert httpx.get(f"{stack.url}/metrics").status_code == 404
        wait_until(lambda: stack.asked('count(tagwerk_ready_workers{job="tagwerk"} == 1) == 2'), 300)
        statuses: Counter[int] = Counter()
        over = threading.Event()

        def talk() -> None:
            with httpx.Client(base_url=stack.url, timeout=60) as client:
                while not over.is_set():
                    statuses[client.post("/tag", json=SENTENCE).status_code] += 1

        threads = [threading.Thread(target=talk) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda: statuses[200] > 20, 120)
        stack.kill(stack.inspect("replica", "{{.Id}}")[0])
        before = statuses[200]
        wait_until(lambda: statuses[200] > before + 50, 120)
        over.set()
        for thread in threads:
            thread.join()
        assert statuses.keys() == {200}


def test_workers_without_their_engine_say_when_to_come_back(tmp_path):
    with brought_up("split", tmp_path) as stack:
        assert stack.tag().status_code == 200
        wait_until(lambda: stack.up() == {"tagwerk", "tagwerk-engine"}, 60)
        wait_until(lambda: stack.asked("sum(tagwerk_ready_workers) == 2"), 60)
        stack.kill(stack.inspect("engine", "{{.Id}}")[0])
        wait_until(lambda: stack.tag().status_code == 503, 30)
        assert stack.tag().headers["retry-after"] == "1"
        wait_until(lambda: "TagwerkUnavailable" in stack.firing(), 240)
        stack.compose("up", "--wait", "--wait-timeout", "600", "engine")
        wait_until(lambda: stack.tag().status_code == 200, 60)
        stack.compose("stop")
        assert {*stack.inspect("api", "{{.State.ExitCode}}"), *stack.inspect("engine", "{{.State.ExitCode}}")} == {"0"}

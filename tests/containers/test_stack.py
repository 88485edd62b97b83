"""The compose stack, built and brought up for real: make containers-test.

It asks `docker compose` with the files of COMPOSE_FILE, by default the project's own, and a small grid of shapes.
"""

import json
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.conftest import ROOT, free_port
from tests.waiting import wait_until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3600)]

COMPOSE = ROOT / "docker" / "docker-compose.yml"
DOCKERFILE = ROOT / "docker" / "Dockerfile"
PROJECT = "tagwerk-test"
SENTENCE = {"text": "The quick brown fox jumps over the lazy dog."}
SMALL = {"TAGWERK_BATCH_SIZES": "1,8", "TAGWERK_SLOTS": "4"}
KILL_A_SERVER_PROCESS = """
import os, pathlib, re, signal
names = {int(path.parent.name): path.read_text().strip() for path in pathlib.Path("/proc").glob("[0-9]*/comm")}
os.kill(min(pid for pid, name in names.items() if re.fullmatch(r"tagwerk-\\d+", name)), signal.SIGKILL)
"""


class Stack:
    """What one profile brings up."""

    def __init__(self, profiles: str, folder: Path, settings: Mapping[str, str]) -> None:
        ports = {name: free_port() for name in ("TAGWERK", "PROMETHEUS", "ALERTMANAGER", "GRAFANA", "LOCUST")}
        urls = (f"http://127.0.0.1:{port}" for port in ports.values())
        self.url, self.prometheus, self.alertmanager, self.grafana, self.locust = urls
        small = folder / "small.yml"
        services = yaml.safe_load(COMPOSE.read_text())["services"]
        built = [name for name, service in services.items() if "build" in service]
        small.write_text(yaml.safe_dump({"services": {name: {"environment": {**SMALL, **settings}} for name in built}}))
        files = os.environ.get("COMPOSE_FILE", str(COMPOSE)).split(":")
        self._environment = {
            **os.environ,
            **{f"{name}_PUBLISH": f"127.0.0.1:{port}" for name, port in ports.items()},
            "COMPOSE_FILE": ":".join([*files, str(small)]),
            "COMPOSE_PROFILES": profiles,
            "COMPOSE_PROJECT_NAME": PROJECT,
        }

    def compose(self, *arguments: str) -> str:
        """Runs `docker compose`; returns what it prints."""
        return self.docker("compose", *arguments)

    def inspect(self, service: str, what: str) -> list[str]:
        """Returns something of each container of a service, also of those that have ended."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        return self.docker("inspect", "--format", what, *ids).split()

    def left(self) -> str:
        """Returns the containers, networks and volumes that there are of it."""
        own = ("--filter", f"label=com.docker.compose.project={PROJECT}", "--quiet")
        return "".join(self.docker(kind, "ls", *own) for kind in ("container", "network", "volume"))

    def docker(self, *arguments: str) -> str:
        """Runs `docker`; returns what it prints."""
        command = ["docker", *arguments]
        done = subprocess.run(command, env=self._environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def asked(self, query: str) -> list[dict[str, object]]:
        """Returns what Prometheus answers to a query."""
        response = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": query}, timeout=30)
        assert response.status_code == 200, f"{query}: {response.text}"
        result: list[dict[str, object]] = response.json()["data"]["result"]
        return result

    def firing(self) -> set[str]:
        """Returns the alerts that fire."""
        alerts = httpx.get(f"{self.prometheus}/api/v1/alerts", timeout=30).json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def told(self) -> dict[str, str]:
        """Returns the alerts that Alertmanager has, with their addresses of the runbook."""
        alerts = httpx.get(f"{self.alertmanager}/api/v2/alerts", timeout=30).json()
        return {alert["labels"]["alertname"]: alert["annotations"]["runbook_url"] for alert in alerts}

    def up(self) -> set[str]:
        """Returns the jobs of which Prometheus scrapes a target that answers."""
        targets = httpx.get(f"{self.prometheus}/api/v1/targets", timeout=30).json()["data"]["activeTargets"]
        return {target["scrapePool"] for target in targets if target["health"] == "up"}

    def tag(self) -> httpx.Response:
        """Asks for tags."""
        return httpx.post(f"{self.url}/tag", json=SENTENCE, timeout=60)

    @contextmanager
    def asked_by(self, clients: int, body: object) -> Iterator[Counter[str]]:
        """Has clients ask for tags in the block; yields how often each answer came: 200, or why not."""
        answers: Counter[str] = Counter()
        over = threading.Event()

        def talk() -> None:
            with httpx.Client(base_url=self.url, timeout=60) as client:
                while not over.is_set():
                    response = client.post("/tag", json=body)
                    well = response.status_code == 200
                    answers["200" if well else f"{response.status_code}: {response.json()['detail']}"] += 1
                    assert well or int(response.headers["retry-after"]) > 0

        with ThreadPoolExecutor(clients) as pool:
            talks = [pool.submit(talk) for _ in range(clients)]
            try:
                yield answers
            finally:
                over.set()
            for each in talks:
                each.result()


@contextmanager
def brought_up(profiles: str, folder: Path, **settings: str) -> Iterator[Stack]:
    """Builds profiles and brings them up, healthy; takes them down for sure, and sees that nothing is left."""
    stack = Stack(profiles, folder, settings)
    try:
        stack.compose("build", "--quiet")
        stack.compose("up", "--wait", "--wait-timeout", "900")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "45")
    assert stack.left() == ""


def test_one_service_is_watched_and_a_process_that_is_killed_is_told_of(tmp_path):
    with brought_up("single,loadtest", tmp_path) as stack:
        assert stack.tag().status_code == 200
        inside = ("exec", "-T", "service")
        assert stack.compose(*inside, "id", "-u").strip() == "10001"
        status = stack.compose(*inside, "cat", "/proc/self/status")
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert stack.compose(*inside, "sh", "-c", "touch /opt/x || echo read-only").strip() == "read-only"
        names = "u.find_spec('tagwerk') and u.find_spec('tagwerk.training'), u.find_spec('pip')"
        found = f"import importlib.util as u; print({names})"
        for python in ("python", "/usr/local/bin/python3"):
            assert stack.compose(*inside, python, "-c", found).strip() == "None None"
        version = max((ROOT / "model_store" / "tagger-en").iterdir(), key=lambda folder: int(folder.name)).name
        stack.compose(*inside, "tagwerk", "models", "use", f"tagger-en/{version}")
        listed = [line.split() for line in stack.compose(*inside, "tagwerk", "models").splitlines()]
        assert ["tagger-en", version, "serves", "100%", "tag"] in listed
        assert httpx.get(f"{stack.grafana}/api/health").status_code == 200
        wait_until(lambda: stack.up() == {"tagwerk"}, 60)
        assert "locust" in httpx.get(stack.locust).text.lower()
        stack.compose("run", "--rm", "-T", "loadtest", "--headless", "--users", "4", "--run-time", "30s")
        wait_until(lambda: stack.asked("sum(model:tagwerk_padding_waste:ratio5m) > 0"), 120)
        check_dashboard(stack)
        wait_until(lambda: stack.asked("tagwerk_ready_processes == 2"), 300)
        assert stack.asked('sum(tagwerk_process_info{process="server"}) == 2')
        assert not stack.firing()
        stack.compose(*inside, "python", "-c", KILL_A_SERVER_PROCESS)
        assert {stack.tag().status_code for _ in range(10)} == {200}  # of the process that is left
        wait_until(lambda: "TagwerkProcessDied" in stack.firing(), 120)
        wait_until(lambda: stack.told().get("TagwerkProcessDied") == "docs/runbook.md#tagwerkprocessdied", 60)
        wait_until(lambda: stack.asked("tagwerk_ready_processes == 2"), 300)
        assert stack.asked('tagwerk_restarts_total{process="server"} == 1')
        stack.compose("stop", "service")
        assert stack.inspect("service", "{{.State.ExitCode}}") == ["0"]


def check_dashboard(stack: Stack) -> None:
    """Prometheus understands every query of the dashboard, and each panel shows data within two minutes."""
    dashboard = json.loads((ROOT / "docker" / "grafana" / "dashboards" / "tagwerk.json").read_text())
    for panel in dashboard["panels"]:
        queries = [target["expr"] for target in panel.get("targets", ())]  # a row has none
        wait_until(lambda: not queries or any(map(stack.asked, queries)), 120, panel["title"])  # noqa: B023 (at once)


def test_replicas_that_are_full_not_ready_or_killed_are_left_out_until_there_are_none(tmp_path):
    settings = {"TAGWERK_PROCESSES": "1", "TAGWERK_MAX_QUEUE_TOKENS": "400"}
    with brought_up("replicas", tmp_path, **settings) as stack:
        assert httpx.get(f"{stack.url}/metrics").status_code == 404
        wait_until(lambda: stack.asked("count(tagwerk_ready_processes == 1) == 2"), 300)
        # Full: another is asked, and where all are, the client learns when to come again.
        with stack.asked_by(24, {"text": [SENTENCE["text"]] * 12}) as answers:
            wait_until(lambda: min(answers["200"], answers.total() - answers["200"]) > 20, 120)
        refused = [answer for answer in answers.elements() if answer != "200"]
        assert {answer[:3] for answer in refused} == {"429"}
        wait_until(lambda: stack.asked(f"sum(tagwerk_rejected_total) >= {2 * len(refused)}"), 60)
        # Not ready, while its only process starts again.
        with stack.asked_by(8, SENTENCE) as answers:
            wait_until(lambda: answers["200"] > 20, 120)
            stack.compose("exec", "-T", "--index", "1", "replica", "python", "-c", KILL_A_SERVER_PROCESS)
            wait_until(lambda: stack.asked("count(tagwerk_ready_processes == 1) == 1"), 60)
            before = answers["200"]
            wait_until(lambda: answers["200"] > before + 50, 120)
            wait_until(lambda: stack.asked("count(tagwerk_ready_processes == 1) == 2"), 300)
        assert answers.keys() == {"200"}, answers
        # Killed.
        with stack.asked_by(8, SENTENCE) as answers:
            wait_until(lambda: answers["200"] > 20, 120)
            stack.docker("kill", stack.inspect("replica", "{{.Id}}")[0])
            before = answers["200"]
            wait_until(lambda: answers["200"] > before + 50, 120)
        assert answers.keys() == {"200"}, answers
        # None is left.
        (left,) = stack.compose("ps", "--quiet", "replica").split()
        stack.docker("kill", left)
        wait_until(lambda: stack.tag().status_code == 503, 30)
        assert stack.tag().headers["retry-after"] == "1"
        wait_until(lambda: "TagwerkUnavailable" in stack.firing(), 240)
        stack.compose("up", "--wait", "--wait-timeout", "600", "replica")
        wait_until(lambda: stack.tag().status_code == 200, 60)
        stack.compose("stop")
        assert stack.inspect("replica", "{{.State.ExitCode}}") == ["0", "0"]


def test_an_image_with_models_inside_serves_without_a_volume(tmp_path):
    stack = Stack("single", tmp_path, {})
    tag, name = f"{PROJECT}:models", f"{PROJECT}-models"
    build = "build --quiet --network host --build-arg PYTHON_IMAGE --target baked".split()  # that of the environment
    stack.docker(*build, "--file", str(DOCKERFILE), "--tag", tag, ".")
    run = f"run --detach --network none --read-only --tmpfs /tmp --name {name}".split()
    stack.docker(*run, *(f"--env={option}={value}" for option, value in SMALL.items()), tag)
    try:
        ask = f"""
import json, urllib.request as r
body = json.dumps({SENTENCE}).encode()
request = r.Request("http://127.0.0.1:8000/tag", body, {{"Content-Type": "application/json"}})
print(json.load(r.urlopen(request))["model"])
"""
        status = ("inspect", "--format", "{{.State.Health.Status}}", name)
        wait_until(lambda: stack.docker(*status).strip() == "healthy", 900)
        assert stack.docker("exec", name, "python", "-c", ask).strip() == "tagger-en"
    finally:
        stack.docker("rm", "--force", "--volumes", name)

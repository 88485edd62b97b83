"""The service of a scenario: its processes, its metrics, its readiness."""

import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from loadtests.chaos.request_counts import Outcome
from loadtests.figures.memory import name_of, name_of_thread
from loadtests.servers import Server, free_port, service_command

MARK = "TAGWERK_CHAOS_RUN"  # in the environment of all its processes, wherever they end up
PROBES = ("/readyz", "/metrics", "/livez")
GAUGES = ("tagwerk_queue_entries", "tagwerk_queue_tokens", "tagwerk_slots_in_use")


class ServiceUnderTest:
    """A running service."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._mark = uuid.uuid4().hex
        self.port = free_port()
        own = {MARK: self._mark, "TAGWERK_HOST": "127.0.0.1", "TAGWERK_PORT": str(self.port)}
        address = f"127.0.0.1:{self.port}"
        self.server = Server(service_command(), address, "/readyz", None, environment | own, folder / "log")
        self.log = folder / "log"

    def processes(self) -> dict[int, str]:
        """Returns all its processes by what they are, those included that lost their parent."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                marked = f"{MARK}={self._mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
                if marked and (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found[int(folder.name)] = name_of(int(folder.name))
            except OSError:  # it has ended, or belongs to another user
                continue
        return found

    def working(self) -> dict[int, str]:
        """Returns its processes without the standby, which comes and goes."""
        return {pid: kind for pid, kind in self.processes().items() if kind != "standby"}

    def has_standby(self) -> bool:
        """Returns whether an engine has imported TensorFlow and waits to replace the one that serves."""
        return "tagwerk-standby" in (name_of_thread(pid) for pid, kind in self.processes().items() if kind == "standby")

    def pids(self, *kinds: str) -> list[int]:
        """Returns its processes of these kinds: `serve`, `engine`, `api`."""
        return [pid for pid, kind in self.processes().items() if kind in kinds]

    def send(self, number: signal.Signals, *kinds: str) -> int:
        """Sends a signal to all processes of these kinds; returns how many there were."""
        pids = self.pids(*kinds)
        for pid in pids:
            os.kill(pid, number)
        return len(pids)

    def ready(self) -> bool:
        """Returns whether /readyz answers 200."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10):
                return True
        except OSError:
            return False

    def answered(self) -> Counter[Outcome]:
        """Returns how many requests it has answered, by /metrics, other than to the probes."""
        found: Counter[Outcome] = Counter()
        for name, labels, value in self._samples():
            if name == "tagwerk_requests_total" and labels["route"] not in PROBES:
                found[labels["route"], int(labels["status"])] += int(value)
        return found

    def held(self) -> dict[str, float]:
        """Returns the places in the queue and the slots that are taken, where any are."""
        found = dict.fromkeys(GAUGES, 0.0)
        for name, _, value in self._samples():
            if name in GAUGES:
                found[name] += value
        return {name: value for name, value in found.items() if value}

    def durations(self) -> dict[str, float]:
        """Returns the sum of all durations that it measured, in seconds, of each kind."""
        found: dict[str, float] = {}
        for name, _, value in self._samples():
            if name.endswith("duration_seconds_sum"):
                found[name] = found.get(name, 0.0) + value
        return found

    def _samples(self) -> list[tuple[str, dict[str, str], float]]:
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as response:
            text = response.read().decode()
        families = text_string_to_metric_families(text)
        return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def within(seconds: float, holds: Callable[[], bool]) -> float | None:
    """Waits until a condition holds; returns for how long, or None where that is longer than the bound."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if holds():
                return time.monotonic() - began
        except (URLError, OSError):  # it does not answer yet
            pass
        time.sleep(0.1)
    return None

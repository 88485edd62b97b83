"""The service of a scenario: its processes, its metrics, its readiness."""

import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

from loadtests.chaos.request_counts import Outcome
from loadtests.metrics import samples
from loadtests.processes import SERVER, name_of, owners
from loadtests.servers import free_port, start_service

MARK = "TAGWERK_CHAOS_RUN"  # in the environment of all its processes, wherever they end up
PROBES = ("/readyz", "/metrics", "/livez")
GAUGES = ("tagwerk_queue_entries", "tagwerk_queue_tokens", "tagwerk_slots_in_use")


class ServiceUnderTest:
    """A running service."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._mark = uuid.uuid4().hex
        self.port = free_port()
        self._scratch = folder / "scratch"
        self._scratch.mkdir(parents=True)
        own = {MARK: self._mark, "TAGWERK_PORT": str(self.port), "TMPDIR": str(self._scratch)}
        self.server = start_service(folder, **environment, **own)
        self.log = folder / "log"

    def processes(self) -> dict[int, str]:
        """Returns all its processes by what they are, those included that lost their parent."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended, or belongs to another user
                if f"{MARK}={self._mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = name_of(int(folder.name))
        return found

    def pids(self, kind: str) -> list[int]:
        """Returns its processes of a kind, such as `SERVER`."""
        return [pid for pid, each in self.processes().items() if each == kind]

    def send(self, number: signal.Signals, kind: str) -> None:
        """Sends a signal to all processes of a kind."""
        for pid in self.pids(kind):
            os.kill(pid, number)

    def owners(self) -> dict[int, int]:
        """Returns the server process of each connection, by the client's port."""
        return owners(self.pids(SERVER), self.port)

    def scratch_files(self) -> list[str]:
        """Returns what it has in its folder for temporary files."""
        return [path.name for path in self._scratch.iterdir()]

    def ready(self) -> bool:
        """Returns whether /readyz answers 200."""
        return self.server.ready()

    def answered(self) -> Counter[Outcome]:
        """Returns how many requests it has answered, by /metrics, other than to the probes."""
        found: Counter[Outcome] = Counter()
        for sample in samples(self.server.address):
            if sample.name == "tagwerk_requests_total" and sample.labels["route"] not in PROBES:
                found[sample.labels["route"], int(sample.labels["status"])] += int(sample.value)
        return found

    def held(self) -> dict[str, float]:
        """Returns the places in the queue and the slots that are taken, where any are."""
        found = dict.fromkeys(GAUGES, 0.0)
        for sample in samples(self.server.address):
            if sample.name in GAUGES:
                found[sample.name] += sample.value
        return {name: value for name, value in found.items() if value}

    def durations(self) -> dict[str, float]:
        """Returns the sum of all durations that it measured, in seconds, of each kind."""
        found: dict[str, float] = {}
        for sample in samples(self.server.address):
            if sample.name.endswith("duration_seconds_sum"):
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
        return found


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

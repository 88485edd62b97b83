"""The processor time that servers take."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from loadtests.client import Measurement
from loadtests.figures.memory import name_of, processes
from loadtests.servers import Server

TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(server: Server) -> Counter[str]:
    """Returns the processor time that a server has had, in seconds by kind of process: `api`, `engine`, `serve`.

    Processes that come or go in between are not to be compared.
    """
    found: Counter[str] = Counter()
    for pid in processes(server.process.pid):
        try:
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[name_of(pid)] += (int(words[11]) + int(words[12])) / TICKS  # type: ignore[assignment]  # user and system; a Counter, since it subtracts
    return found


@dataclass(frozen=True, slots=True)
class Round:
    """What clients saw, and the processor time that it took, in seconds by kind of process."""

    seen: Measurement
    seconds: float
    busy: Counter[str]

    def milliseconds(self, kind: str) -> float:
        """Returns the processor time that a request took of the processes of a kind."""
        return 1000 * self.busy[kind] / (self.seen.requests_per_second * self.seconds)

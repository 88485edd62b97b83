"""The processor time that servers take."""

import os
from dataclasses import dataclass
from pathlib import Path

from loadtests.client import Measurement
from loadtests.processes import processes
from loadtests.servers import Server

TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(server: Server) -> float:
    """Returns the processor time that all processes of a server have had, in seconds.

    Processes that come or go in between are not to be compared.
    """
    ticks = 0
    for pid in processes(server.process.pid):
        try:
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += int(words[11]) + int(words[12])  # user and system
    return ticks / TICKS


@dataclass(frozen=True, slots=True)
class Round:
    """What clients saw, and the processor time that the server took for it, in seconds."""

    seen: Measurement
    seconds: float
    busy: float

    @property
    def cpu_milliseconds(self) -> float:
        """The processor time of a request."""
        return 1000 * self.busy / (self.seen.requests_per_second * self.seconds)

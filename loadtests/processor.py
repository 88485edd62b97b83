"""The processor time that servers take."""

from contextlib import suppress
from dataclasses import dataclass

import psutil

from loadtests.client import Measurement
from loadtests.processes import processes
from loadtests.servers import Server


def processor_seconds(server: Server) -> float:
    """Returns the processor time that all processes of a server have had, in seconds.

    Processes that come or go in between are not to be compared.
    """
    seconds = 0.0
    for pid in processes(server.process.pid):
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            seconds += times.user + times.system
    return seconds


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

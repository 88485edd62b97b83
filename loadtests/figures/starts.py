"""Measures the time until the service is ready, and its executables and memory then."""

import os
import signal
import tempfile
from functools import partial
from pathlib import Path

from loadtests.aims import EXECUTABLES, FIRST_START, LATER_START, REPLACEMENT, STARTED_MEMORY, Figure
from loadtests.figures.base import Plan
from loadtests.metrics import total
from loadtests.processes import memory_of, processes, server_processes
from loadtests.rounds import say
from loadtests.servers import Server, Service, running, start_service

COMPILATIONS = "tagwerk_compilations_total"
LATER_STARTS = 3
MOST_SECONDS = 60.0


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the seconds until ready of a first start, later ones and a replacement; the other service waits."""
    with tempfile.TemporaryDirectory() as cache:
        start = partial(start_service, TAGWERK_XLA_CACHE=str(Path(cache) / "xla"))
        with running(start) as fresh:
            first = fresh.ready_after
            executables = total(fresh.address, COMPILATIONS) / len(server_processes(fresh.process.pid))
        say(f"ready after {first:.1f} s, later starts follow")
        later, replacements, whole = [], [], []
        for _ in range(LATER_STARTS):
            with running(start) as warm:
                later.append(warm.ready_after)
                whole.append(memory_of(processes(warm.process.pid)).megabytes)
                replacements.append(_replaced_after(warm))
    return [
        Figure("ready after a first start, nothing compiled", first, FIRST_START, "one start"),
        Figure("ready with the executables kept", max(later), LATER_START, _all(later, "s")),
        Figure("one process killed, all ready again", max(replacements), REPLACEMENT, _all(replacements, "s")),
        Figure("executables of a process", executables, EXECUTABLES, "after the first start"),
        Figure("memory of all processes", max(whole), STARTED_MEMORY, f"after a later start, {_all(whole, 'MB')}"),
    ]


def _replaced_after(service: Service) -> float:
    """Kills a server process; returns the seconds until another has taken its place and all are ready."""
    before = server_processes(service.process.pid)
    os.kill(before[0], signal.SIGKILL)
    seconds = service.seconds_until_replaced(before[:1], len(before), MOST_SECONDS)
    if seconds is None:
        raise RuntimeError("no process took the place of the one that was killed")
    return seconds


def _all(values: list[float], unit: str) -> str:
    return "the most of " + ", ".join(f"{each:.1f}" for each in values) + f" {unit}"

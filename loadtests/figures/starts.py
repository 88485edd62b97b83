"""Measures the time until the service is ready, and its executables and memory then."""

import os
import signal
import tempfile
import time
from functools import partial
from pathlib import Path

from loadtests.aims import (
    ENGINE_MEMORY,
    ENGINE_RESTART,
    EXECUTABLES,
    FIRST_START,
    LATER_START,
    WHOLE_MEMORY,
    Figure,
)
from loadtests.figures.base import Plan, counter
from loadtests.figures.memory import MEGABYTE, memory, name_of, processes
from loadtests.rounds import say
from loadtests.servers import Server, running, start_service

COMPILATIONS = "tagwerk_compilations_total"
LATER_STARTS = 3
SETTLE_SECONDS = 45.0  # until the standby has imported TensorFlow


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the seconds until ready of a first start, later ones and a new engine; the other service waits."""
    with tempfile.TemporaryDirectory() as cache:
        start = partial(start_service, TAGWERK_XLA_CACHE=str(Path(cache) / "xla"))
        began = time.monotonic()
        with running(start) as fresh:
            first, executables = time.monotonic() - began, counter(fresh, COMPILATIONS)
        say(f"ready after {first:.1f} s, later starts follow")
        later, restarts, engine, whole = [], [], [], []
        for _ in range(LATER_STARTS):
            began = time.monotonic()
            with running(start) as warm:
                later.append(time.monotonic() - began)
                time.sleep(SETTLE_SECONDS)
                sizes = {pid: memory(pid) for pid in processes(warm.process.pid)}
                engine.append(sum(m.files + m.others for pid, m in sizes.items() if name_of(pid) == "engine"))
                whole.append(sum(m.files + m.others for m in sizes.values()))
                restarts.append(_restart(warm))
    return [
        Figure("ready after a first start, nothing compiled", first, FIRST_START, "one start"),
        Figure("ready with the executables kept", max(later), LATER_START, _all(later, "s")),
        Figure("ready after kill -9 of the engine", max(restarts), ENGINE_RESTART, _all(restarts, "s")),
        Figure("executables", executables, EXECUTABLES, "compiled by the first start"),
        Figure("memory of the engine", max(engine) / MEGABYTE, ENGINE_MEMORY, "after a later start"),
        Figure("memory of all processes", max(whole) / MEGABYTE, WHOLE_MEMORY, "after a later start, with the standby"),
    ]


def _restart(service: Server) -> float:
    """Kills the engine; returns the seconds until the service is ready with another."""
    (killed,) = (pid for pid in processes(service.process.pid) if name_of(pid) == "engine")
    began = time.monotonic()
    os.kill(killed, signal.SIGKILL)
    while any(pid == killed for pid in processes(service.process.pid)) or not service.ready():
        if time.monotonic() - began > 60:
            raise RuntimeError("no engine took the place of the one that was killed")
        time.sleep(0.02)
    return time.monotonic() - began


def _all(seconds: list[float], unit: str) -> str:
    return "the longest of " + ", ".join(f"{each:.1f}" for each in seconds) + f" {unit}"

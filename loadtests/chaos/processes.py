"""Processes that are killed or stopped."""

import asyncio
import signal
import time

from loadtests.chaos.clients import NEIGHBOURS
from loadtests.chaos.request_counts import RequestCounts
from loadtests.chaos.scenario import Scenario, check
from loadtests.chaos.service_under_test import ServiceUnderTest

FROZEN_SECONDS = 10.0
BACK_SECONDS = 240.0  # for an engine that starts again on a machine that is busy
NOTICED_SECONDS = 4.0  # for the heartbeats to miss it, on a machine that is busy


def kill(*kinds: str) -> "Scenario":
    """Returns a scenario that kills the processes of these kinds and waits until the service is ready again."""

    async def run(service: ServiceUnderTest, counts: RequestCounts) -> str:
        began = time.monotonic()
        killed = await asyncio.to_thread(service.send, signal.SIGKILL, *kinds)
        check(killed, f"there was no process to kill: {kinds}")
        while not await asyncio.to_thread(_back, service, kinds):
            check(time.monotonic() - began < BACK_SECONDS, f"not ready again after {BACK_SECONDS:g} s")
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - began
        await asyncio.sleep(1)
        return f"killed {killed}, ready again after {seconds:.1f} s"

    # The requests that a killed worker was answering are lost, one of each client.
    may_lose = NEIGHBOURS if "api" in kinds else 0
    what = " and ".join({"engine": "the engine", "api": "the worker"}[kind] for kind in kinds)
    required = "503 at once, nothing lost" if not may_lose else "nothing lost but what it was answering"
    return Scenario(f"kill -9 of {what}", required, run, frozenset({200, 503}), may_lose)


def _back(service: ServiceUnderTest, kinds: tuple[str, ...]) -> bool:
    return set(kinds) <= set(service.processes().values()) and service.ready()


async def freeze(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Stops the engine for ten seconds; requests must soon get 503, and 200 again after it continues."""
    await asyncio.to_thread(service.send, signal.SIGSTOP, "engine")
    began = time.monotonic()
    try:
        while not counts.statuses()[503]:
            check(time.monotonic() - began < NOTICED_SECONDS, f"not noticed within {NOTICED_SECONDS:g} s")
            await asyncio.sleep(0.05)
        noticed = time.monotonic() - began
        await asyncio.sleep(FROZEN_SECONDS - noticed)
    finally:
        await asyncio.to_thread(service.send, signal.SIGCONT, "engine")
    frozen = time.monotonic() - began
    before = counts.statuses()[200]
    while counts.statuses()[200] < before + NEIGHBOURS:
        check(time.monotonic() - began < BACK_SECONDS, "no answers after the engine went on")
        await asyncio.sleep(0.05)
    seconds = time.monotonic() - began - frozen
    check(counts.slowest < NOTICED_SECONDS, f"a request waited for {counts.slowest:.1f} s")
    return f"503 after {noticed:.1f} s of {frozen:.0f} s of standstill, answers again {seconds:.1f} s after"


SCENARIOS = [
    kill("engine"),
    kill("api"),
    kill("engine", "api"),
    Scenario(
        "the engine stops for ten seconds",
        f"503 within {NOTICED_SECONDS:g} s, then as before",
        freeze,
        frozenset({200, 503}),
    ),
]

"""Processes that are killed or stopped."""

import asyncio
import signal
import time

from loadtests.chaos.clients import NEIGHBOURS
from loadtests.chaos.ledger import Ledger
from loadtests.chaos.scenario import Scenario, check
from loadtests.chaos.victim import Victim

FROZEN_SECONDS = 10.0
BACK_SECONDS = 240.0  # for an engine that starts again on a machine that is busy
NOTICED_SECONDS = 4.0  # for the heartbeats to miss it, on a machine that is busy


def kill(*kinds: str) -> "Scenario":
    """Returns a scenario that kills the processes of these kinds and waits until the service is ready again."""

    async def run(victim: Victim, ledger: Ledger) -> str:
        began = time.monotonic()
        killed = await asyncio.to_thread(victim.send, signal.SIGKILL, *kinds)
        check(killed, f"there was no process to kill: {kinds}")
        while not await asyncio.to_thread(_back, victim, kinds):
            check(time.monotonic() - began < BACK_SECONDS, f"not ready again after {BACK_SECONDS:g} s")
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - began
        await asyncio.sleep(1)
        return f"killed {killed}, ready again after {seconds:.1f} s"

    # A worker takes with it what it was answering, one request of each client.
    may_lose = NEIGHBOURS if "api" in kinds else 0
    what = " and ".join({"engine": "the engine", "api": "the worker"}[kind] for kind in kinds)
    asked = "503 at once, nothing lost" if not may_lose else "nothing lost but what it was answering"
    return Scenario(f"kill -9 of {what}", asked, run, frozenset({200, 503}), may_lose)


def _back(victim: Victim, kinds: tuple[str, ...]) -> bool:
    return set(kinds) <= set(victim.processes().values()) and victim.ready()


async def freeze(victim: Victim, ledger: Ledger) -> str:
    """Stops the engine for ten seconds; it must be noticed soon, and forgiven when it goes on."""
    await asyncio.to_thread(victim.send, signal.SIGSTOP, "engine")
    began = time.monotonic()
    try:
        while not ledger.statuses()[503]:
            check(time.monotonic() - began < NOTICED_SECONDS, f"not noticed within {NOTICED_SECONDS:g} s")
            await asyncio.sleep(0.05)
        noticed = time.monotonic() - began
        await asyncio.sleep(FROZEN_SECONDS - noticed)
    finally:
        await asyncio.to_thread(victim.send, signal.SIGCONT, "engine")
    frozen = time.monotonic() - began
    before = ledger.statuses()[200]
    while ledger.statuses()[200] < before + NEIGHBOURS:
        check(time.monotonic() - began < BACK_SECONDS, "no answers after the engine went on")
        await asyncio.sleep(0.05)
    seconds = time.monotonic() - began - frozen
    check(ledger.slowest < NOTICED_SECONDS, f"a request waited for {ledger.slowest:.1f} s")
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

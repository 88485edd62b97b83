"""The ends of the service: SIGTERM, and a supervisor that is killed."""

import asyncio
import os
import signal
import time

from loadtests.chaos.request_counts import RequestCounts
from loadtests.chaos.retrying import CLIENTS, RetryingClients
from loadtests.chaos.scenario import Scenario, check
from loadtests.chaos.service_under_test import ServiceUnderTest, within
from loadtests.processes import SUPERVISOR

LOAD_SECONDS = 2.0
STOP_SECONDS = 60.0
ORPHANED_SECONDS = 5.0


async def terminate(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Sends SIGTERM to the supervisor while clients send requests, until it accepts no connection."""
    async with RetryingClients(service.port, counts) as clients:
        await asyncio.sleep(LOAD_SECONDS)
        began = time.monotonic()
        service.server.process.send_signal(signal.SIGTERM)
        await clients.end()
    status = await asyncio.to_thread(service.server.process.wait, STOP_SECONDS)
    seconds = time.monotonic() - began
    check(not status, f"it ended with status {status}")
    _check_nothing_left(service)
    return f"all ended after {seconds:.1f} s"


async def orphan(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Kills the supervisor while clients send requests."""
    check(service.scratch_files(), "the service has no temporary folder where TMPDIR says")
    async with RetryingClients(service.port, counts) as clients:
        await asyncio.sleep(LOAD_SECONDS)
        began = time.monotonic()
        for pid in await asyncio.to_thread(service.pids, SUPERVISOR):
            os.kill(pid, signal.SIGKILL)
        ended = await asyncio.to_thread(within, STOP_SECONDS, lambda: not service.processes())
        seconds = time.monotonic() - began
        await clients.end()
    check(ended is not None and seconds <= ORPHANED_SECONDS, f"processes were there for {seconds:.1f} s")
    _check_nothing_left(service)
    return f"all ended after {seconds:.1f} s"


def _check_nothing_left(service: ServiceUnderTest) -> None:
    left = service.processes()
    check(not left, f"processes are left: {left}")
    files = service.scratch_files()
    check(not files, f"temporary files are left: {files}")


TERMINATED = Scenario(f"SIGTERM, {CLIENTS} clients", "status 0, no request lost, no process or file left", terminate)
ORPHANED = Scenario(
    "kill -9 of the supervisor",
    f"all processes end within {ORPHANED_SECONDS:g} s, and leave no process and no file",
    orphan,
    frozenset({200, 503}),
    may_lose=2 * CLIENTS,
)

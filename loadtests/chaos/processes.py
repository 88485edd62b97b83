"""Server processes that are killed or stopped."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Mapping

from loadtests.chaos.clients import NEIGHBOURS
from loadtests.chaos.request_counts import RequestCounts
from loadtests.chaos.retrying import CLIENTS, RetryingClients
from loadtests.chaos.scenario import Scenario, check
from loadtests.chaos.service_under_test import ServiceUnderTest
from loadtests.processes import FORK_SERVER, SERVER

MODEL = "tagger-en"  # the default model of /tag
SETTLE_SECONDS = 3.0  # in which the processes get equal numbers of connections
REPLACED_SECONDS = 8.0  # from the end of a process until another has taken its place
CLOSED_SECONDS = 7.0  # from the moment at which a process stops until its connections are closed
GIVE_UP_SECONDS = 240.0  # for processes that start on a machine that is busy
UNDISTURBED_SECONDS = 2.0  # for an answer of the process that goes on, on a machine that is busy
LOADED = re.compile(r": loads ([^ /]+)/")


async def kill_one(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Kills one of the server processes."""
    async with RetryingClients(service.port, counts) as clients:
        await asyncio.sleep(SETTLE_SECONDS)
        pids, owners, logged = await _before(service)
        killed = pids[0]
        began = time.monotonic()
        os.kill(killed, signal.SIGKILL)
        seconds = await _replaced(service, pids[:1], len(pids))
        await asyncio.sleep(1)
    broken = _broken(clients, owners, killed, began)
    order = _loading_order(service, logged)
    check(order[:1] == [MODEL], f"the default model {MODEL} was not loaded first: {order}")
    check(seconds <= REPLACED_SECONDS, f"ready again after {seconds:.1f} s, more than {REPLACED_SECONDS:g} s")
    return (
        f"{len(broken)} of {CLIENTS} connections ended, all of the killed process; replaced and ready after"
        f" {seconds:.1f} s; {order[0]} loaded first; slowest /tag {clients.slowest:.1f} s"
    )


async def kill_all(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Kills all server processes at once."""
    pids = await asyncio.to_thread(service.pids, SERVER)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    seconds = await _replaced(service, pids, len(pids))
    await asyncio.sleep(1)
    return f"killed {len(pids)}, all ready again after {seconds:.1f} s"


async def kill_fork_server(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Kills the process that server processes are forked from, then one of those."""
    (fork_server,) = await asyncio.to_thread(service.pids, FORK_SERVER)
    os.kill(fork_server, signal.SIGKILL)
    await asyncio.sleep(1)
    pids = await asyncio.to_thread(service.pids, SERVER)
    check(len(pids) > 1, f"a server process has ended with it: {pids}")
    os.kill(pids[0], signal.SIGKILL)
    seconds = await _replaced(service, pids[:1], len(pids))
    await asyncio.sleep(1)
    return f"{len(pids)} served on; the killed one was replaced and ready after {seconds:.1f} s"


async def freeze_one(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Stops one of the server processes."""
    async with RetryingClients(service.port, counts) as clients:
        await asyncio.sleep(SETTLE_SECONDS)
        pids, owners, _ = await _before(service)
        frozen = pids[0]
        began = time.monotonic()
        os.kill(frozen, signal.SIGSTOP)
        try:
            seconds = await _replaced(service, pids[:1], len(pids))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(frozen, signal.SIGCONT)
        await asyncio.sleep(1)
    broken = _broken(clients, owners, frozen, began)
    check(max(broken) <= CLOSED_SECONDS, f"a connection was closed after {max(broken):.1f} s")
    return (
        f"{len(broken)} of {CLIENTS} connections ended after {max(broken):.1f} s, all of the stopped process; replaced"
        f" and ready after {seconds:.1f} s; slowest /tag of the other {clients.slowest:.1f} s"
    )


async def _before(service: ServiceUnderTest) -> tuple[list[int], Mapping[int, int], int]:
    """Returns the server processes, the process of each connection by the client's port, and the length of the log."""
    pids = await asyncio.to_thread(service.pids, SERVER)
    check(len(pids) > 1, f"there is no other server process: {pids}")
    return pids, await asyncio.to_thread(service.owners), service.log.stat().st_size


async def _replaced(service: ServiceUnderTest, ended: list[int], count: int) -> float:
    """Waits until so many processes are ready and some others are gone; returns the seconds."""
    seconds = await asyncio.to_thread(service.server.seconds_until_replaced, ended, count, GIVE_UP_SECONDS)
    check(seconds is not None, f"not replaced after {GIVE_UP_SECONDS:g} s")
    return seconds or 0.0


def _broken(clients: RetryingClients, owners: Mapping[int, int], pid: int, began: float) -> list[float]:
    """Returns after which times the connections of a process ended. Raises AssertionError where others did, too."""
    others = sum(owners.get(port) != pid for port, _ in clients.broken)
    check(not others, f"{others} connections of other processes were lost")
    check(clients.broken, "no connection was lost, so the process served none")
    check(
        clients.slowest <= UNDISTURBED_SECONDS,
        f"the other process took {clients.slowest:.1f} s to answer, more than {UNDISTURBED_SECONDS:g} s",
    )
    return [moment - began for _, moment in clients.broken]


def _loading_order(service: ServiceUnderTest, logged: int) -> list[str]:
    """Returns the models that were loaded since the log had that length, in order."""
    return LOADED.findall(service.log.read_bytes()[logged:].decode(errors="replace"))


SCENARIOS = [
    Scenario(
        f"kill -9 of one of two processes, {CLIENTS} clients retry",
        f"only its connections end, no 5xx; replaced and ready within {REPLACED_SECONDS:g} s, the default model first",
        kill_one,
        may_lose=CLIENTS + NEIGHBOURS,
    ),
    Scenario(
        "kill -9 of all processes",
        "nothing is lost but what they were answering; 503 until one is ready",
        kill_all,
        frozenset({200, 503}),
        may_lose=NEIGHBOURS,
    ),
    Scenario(
        "kill -9 of the fork server, then of a server process",
        "server processes serve on; another fork server starts, and the killed one is replaced",
        kill_fork_server,
        may_lose=NEIGHBOURS,
    ),
    Scenario(
        f"SIGSTOP of one of two processes, {CLIENTS} clients",
        f"its connections are closed within {CLOSED_SECONDS:g} s; the clients of the other see nothing of it",
        freeze_one,
        may_lose=CLIENTS + NEIGHBOURS,
    ),
]

"""Kills or stops the engine while clients send requests and ignore Retry-After."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Sequence

from loadtests.chaos.hostile.attack import Attack, Statuses, Target
from loadtests.chaos.scenario import check
from loadtests.chaos.service_under_test import within
from loadtests.rounds import command

CLIENTS = 24
WARM_UP_SECONDS = 1.0
STANDBY_SECONDS = 90.0  # within which there is an engine in standby
BACK_SECONDS = 10.0  # from the kill to the first answer 200
FROZEN_SECONDS = 6.0
NOTICED_SECONDS = 3.0  # from the stop to the first answer 503
GIVE_UP_SECONDS = 90.0


async def killed(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Kills the engine while clients send the next request at once, whatever the answer."""
    check(
        await asyncio.to_thread(within, STANDBY_SECONDS, target.service.has_standby) is not None,
        f"no engine in standby after {STANDBY_SECONDS:g} s",
    )
    address = f"127.0.0.1:{target.port}/classify"
    clients = await asyncio.create_subprocess_exec(
        *command(address, CLIENTS, GIVE_UP_SECONDS), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await asyncio.sleep(WARM_UP_SECONDS)
        moment = time.monotonic()
        target.service.send(signal.SIGKILL, "engine")
        gone = await first(target, 503, moment)
        back = await first(target, 200, moment + gone) + gone
    finally:
        with contextlib.suppress(ProcessLookupError):
            clients.kill()
        await clients.wait()
    check(back <= BACK_SECONDS, f"the first answer 200 came {back:.1f} s after the kill, more than {BACK_SECONDS:g} s")
    return Counter()


async def frozen(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Stops the engine, and continues it later."""
    moment = time.monotonic()
    target.service.send(signal.SIGSTOP, "engine")
    try:
        noticed = await first(target, 503, moment, FROZEN_SECONDS)
        await asyncio.sleep(max(0.0, moment + FROZEN_SECONDS - time.monotonic()))
    finally:
        target.service.send(signal.SIGCONT, "engine")
    back = await first(target, 200, time.monotonic())
    check(noticed <= NOTICED_SECONDS, f"503 came {noticed:.1f} s after the stop, more than {NOTICED_SECONDS:g} s")
    check(back <= NOTICED_SECONDS, f"200 came {back:.1f} s after the engine went on")
    return Counter()


async def first(target: Target, status: int, moment: float, seconds: float = GIVE_UP_SECONDS) -> float:
    """Waits for the neighbour's first answer of that status after a moment; returns how long after it that came."""
    while time.monotonic() < moment + seconds:
        for sample in target.neighbour.samples(moment):
            if sample.status == status:
                return sample.sent + sample.seconds - moment
        await asyncio.sleep(0.02)
    return seconds


AWAY = frozenset({200, 503, 504})
ATTACKS = [
    Attack(
        "SIGKILL of the engine, 24 clients retry",
        list,
        killed,
        neighbour_may_get=AWAY,
        ends_processes=True,
    ),
    Attack("SIGSTOP of the engine", list, frozen, most_seconds=NOTICED_SECONDS, neighbour_may_get=AWAY),
]

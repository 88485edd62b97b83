"""Runs the attacks, each beside a well-behaved client."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from loadtests.chaos.hostile import NAME, bodies, compressed, connections, texts, unread
from loadtests.chaos.hostile.attack import Attack, Target
from loadtests.chaos.hostile.keys import KEY, ORIGIN, write_keys
from loadtests.chaos.hostile.report import HEAD, MOST_GROWTH, UNITS, WIDTH, Memory, Row, memory_line
from loadtests.chaos.memory import grown_most, peaks, reset_peaks, resident
from loadtests.chaos.request_counts import RequestCounts
from loadtests.chaos.service_under_test import ServiceUnderTest, within
from loadtests.chaos.words import fill_word_tables
from loadtests.neighbour import Neighbour, summarize
from loadtests.processes import MEGABYTE, SERVER
from loadtests.rounds import say

ATTACKS = [*bodies.ATTACKS, *compressed.ATTACKS, *texts.ATTACKS, *connections.ATTACKS, *unread.ATTACKS]
SETTLE_SECONDS = 0.5  # after an attack, in which its effects still count
MEMORY_SECONDS = 20.0  # after all attacks, for a process to give back what it does not use
IDLE_SECONDS = 20.0  # for the service to be done with what an attack left
GIVE_UP_SECONDS = 60.0  # without an answer to the neighbour


def chosen(words: Sequence[str]) -> list[Attack]:
    """Returns the attacks whose names have one of these words; all of them if the scenario's name has one."""
    everything = not words or any(word in NAME for word in words)
    return [attack for attack in ATTACKS if everything or any(word in attack.name for word in words)]


def run(
    service: ServiceUnderTest, environment: Mapping[str, str], folder: Path, attacks: Sequence[Attack]
) -> tuple[list[Row], bool]:
    """Runs attacks against a service, and those that need one with API keys against another; prints the rows.

    Returns the rows, and whether nothing was wrong.
    """
    print(HEAD, UNITS, "-" * WIDTH, sep="\n", flush=True)
    plain = [attack for attack in attacks if not attack.with_keys]
    keyed = [attack for attack in attacks if attack.with_keys]
    rows, well = against(service, plain)
    if keyed:
        (folder / NAME).mkdir()
        write_keys(folder / NAME / "keys.json")
        settings = {"TAGWERK_API_KEYS_FILE": str(folder / NAME / "keys.json"), "TAGWERK_CORS_ORIGINS": ORIGIN}
        say("starting a service with API keys")
        with_keys = ServiceUnderTest(folder / NAME, {**environment, **settings})
        try:
            with_keys.server.wait_until_ready()
            further, also_well = against(with_keys, keyed, KEY)
        finally:
            with_keys.server.stop()
        rows, well = rows + further, well and also_well
    return rows, well


def against(service: ServiceUnderTest, attacks: Sequence[Attack], key: str | None = None) -> tuple[list[Row], bool]:
    """Runs attacks against one service; returns the rows, and whether nothing was wrong."""
    if not attacks:
        return [], True
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    asyncio.run(fill_word_tables(service.port, RequestCounts(), authorization))
    before, rows = resident(service.pids(SERVER)), []

    def grown() -> tuple[float, float]:
        start, end = grown_most(before, resident(service.pids(SERVER)))
        return start / MEGABYTE, end / MEGABYTE

    for attack in attacks:
        say(f"{time.strftime('%H:%M:%S')} {attack.name}")
        rows.append(asyncio.run(play(service, attack, key)))
        print(rows[-1], flush=True)
    # A process gives memory back to the system at intervals of some seconds.
    low = within(MEMORY_SECONDS, lambda: grown()[1] - grown()[0] <= MOST_GROWTH) is not None
    print(memory_line(*grown()), flush=True)
    return rows, low and not any(row.faults() for row in rows)


async def play(service: ServiceUnderTest, attack: Attack, key: str | None) -> Row:
    """Runs one attack."""
    requests = attack.requests()
    failures, statuses = [], Counter[int]()
    processes, pids = service.processes(), service.pids(SERVER)
    with Neighbour(f"127.0.0.1:{service.port}", key) as neighbour:
        await neighbour.settle(time.monotonic() + SETTLE_SECONDS, GIVE_UP_SECONDS)
        before = reset_peaks(pids)
        began = time.monotonic()
        try:
            statuses = await attack.send(Target(service, neighbour), requests)
        except AssertionError as error:
            failures.append(str(error))
        ended = time.monotonic()
        if not await neighbour.settle(ended + SETTLE_SECONDS, GIVE_UP_SECONDS):
            failures.append(f"no request was answered for {GIVE_UP_SECONDS:g} s; the processes were killed")
            service.send(signal.SIGKILL, SERVER)
        waits = summarize(neighbour.samples(began))
    highest = peaks(pids)
    if await asyncio.to_thread(within, IDLE_SECONDS, lambda: service.ready() and not service.held()) is None:
        failures.append("not ready again, or places in the queue were not given back")
    if service.processes() != processes:
        failures.append(f"processes ended: {processes} became {service.processes()}")
    start, peak = grown_most(before, highest)
    _, after = grown_most(before, resident(pids))
    sizes = Memory(start / MEGABYTE, peak / MEGABYTE, after / MEGABYTE)
    return Row(attack, ended - began, statuses, waits, sizes, failures)

"""Breaks the service on purpose, and prints what its clients saw.

    python -m loadtests.chaos                     everything
    python -m loadtests.chaos kill disk           the scenarios with one of these words in their names
    python -m loadtests.chaos hostile             the attacks of hostile clients alone, which have a table of their own
    python -m loadtests.chaos trailers            the attacks with this word in their names

One service goes through all of it and ends by SIGTERM; the supervisor of another is killed. Progress goes to stderr,
the tables to stdout. The exit status is 1 on a violation.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.chaos import connections, endings, hostile, processes
from loadtests.chaos.clients import BOUND_SECONDS, GRACE_SECONDS, neighbours
from loadtests.chaos.clock import Clock
from loadtests.chaos.hostile.play import chosen as chosen_attacks
from loadtests.chaos.hostile.play import run as run_attacks
from loadtests.chaos.hostile.report import markdown
from loadtests.chaos.request_counts import RequestCounts
from loadtests.chaos.scenario import Impossible, Scenario
from loadtests.chaos.service_under_test import ServiceUnderTest, within
from loadtests.chaos.store import Store
from loadtests.processes import SERVER
from loadtests.rounds import say
from loadtests.servers import stopped_by_signals

WIDTH = 80
SETTLE_SECONDS = 90.0  # for what a scenario leaves to end, such as a rollout
DEFAULTS = {"TAGWERK_BATCH_SIZES": "1,4,16", "TAGWERK_PROCESSES": "2"}  # a small grid, so that a process starts soon


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a scenario."""

    scenario: Scenario
    counts: RequestCounts
    seen: str
    faults: list[str]
    skipped: bool = False

    def __str__(self) -> str:
        statuses = self.counts.statuses()
        refused = statuses.total() - statuses[200]
        counts = self.counts
        verdict = "skipped" if self.skipped else "BROKEN" if self.faults else "ok"
        numbers = f"{counts.sent:5} {statuses[200]:5} {refused:5} {counts.dropped:5} {counts.lost:4} {counts.hung:4}"
        lines = [f"{self.scenario.name[:44]:44} {numbers} {verdict:>7}".rstrip()]
        codes = ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()) if status != 200)
        slowest = f"slowest {counts.slowest:.1f} s" if counts.sent else ""
        facts = "; ".join(part for part in (self.seen, codes, slowest) if part)
        lines += [*_folded("required: ", self.scenario.required), *_folded("seen: ", facts)]
        return "\n".join(lines + [line for fault in self.faults for line in _folded("FAULT: ", fault)])


def _folded(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"  {label}", subsequent_indent=" " * (2 + len(label)))


HEAD = f"{'scenario':44} {'sent':>5} {'200':>5} {'refus':>5} {'gone':>5} {'lost':>4} {'hung':>4}"


async def play(service: ServiceUnderTest, scenario: Scenario, kinds: Counter[str]) -> Result:
    """Plays a scenario and checks what it leaves. `kinds` are the processes before all scenarios."""
    counts, seen, faults, skipped = RequestCounts(), "", [], False
    before = await asyncio.to_thread(service.answered)
    async with neighbours(service.port, counts, scenario.deadline_seconds):
        await asyncio.sleep(1)
        try:
            seen = await scenario.run(service, counts)
        except AssertionError as error:
            faults.append(str(error))
        except Impossible as error:
            seen, skipped = str(error), True
        await asyncio.sleep(1)
    bound = scenario.deadline_seconds + GRACE_SECONDS if scenario.deadline_seconds else BOUND_SECONDS
    faults += counts.faults(set(scenario.allowed), scenario.may_lose, bound)
    faults += await asyncio.to_thread(faults_after, service, counts, kinds, before)
    return Result(scenario, counts, seen, faults, skipped)


def faults_after(
    service: ServiceUnderTest, counts: RequestCounts, kinds: Counter[str], before: Counter[tuple[str, int]]
) -> list[str]:
    """Returns what is wrong with the service after a scenario."""

    def counted() -> list[str]:
        return counts.disagreements(service.answered() - before)

    checks: Sequence[tuple[str, Callable[[], bool], Callable[[], object]]] = [
        ("not ready again", service.ready, lambda: "/readyz"),
        ("other processes than before", lambda: Counter(service.processes().values()) == kinds, service.processes),
        ("not all processes ready", lambda: service.server.all_ready(kinds[SERVER]), service.processes),
        ("places that were not given back", lambda: not service.held(), service.held),
        ("figures that do not agree", lambda: not counted(), counted),
    ]
    faults = []
    for what, holds, shown in checks:
        if within(SETTLE_SECONDS, holds) is None:
            with contextlib.suppress(OSError):
                faults.append(f"{what}: {shown()}")
    return faults


async def end(service: ServiceUnderTest, scenario: Scenario) -> Result:
    """Plays a scenario that ends the service."""
    counts, seen, faults = RequestCounts(), "", []
    try:
        seen = await scenario.run(service, counts)
    except AssertionError as error:
        faults.append(str(error))
    faults += counts.faults(set(scenario.allowed), scenario.may_lose, BOUND_SECONDS)
    return Result(scenario, counts, seen, faults)


@contextmanager
def started(folder: Path, environment: Mapping[str, str], log: Path | None) -> Iterator[ServiceUnderTest]:
    """Starts a service; after the block, kills its remaining processes and adds its log to a file."""
    service = ServiceUnderTest(folder, environment)
    try:
        service.server.wait_until_ready()
        yield service
    finally:
        if log is not None:
            with log.open("ab") as kept:
                kept.write(service.log.read_bytes())
        service.server.stop()
        for pid in service.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def run(words: Sequence[str], log: Path | None, table: Path | None) -> bool:
    """Plays the scenarios; returns whether all was well."""
    with tempfile.TemporaryDirectory(prefix="tagwerk-chaos-") as name, stopped_by_signals():
        folder = Path(name)
        if log is not None:
            log.write_bytes(b"")
        clock, store = (
            Clock(folder),
            Store(Path(os.environ.get("TAGWERK_MODEL_STORE", "model_store")), folder / "store"),
        )
        all_of_them = [*processes.SCENARIOS, *connections.SCENARIOS, *store.scenarios(), clock.scenario()]
        chosen = [s for s in all_of_them if not words or any(word in s.name for word in words)]
        environment = {
            "TAGWERK_XLA_CACHE": os.environ.get("TAGWERK_XLA_CACHE") or str(folder / "xla"),
            "TAGWERK_RECEIVE_TIMEOUT_SECONDS": str(connections.RECEIVE_SECONDS),
            **{name: os.environ.get(name, value) for name, value in DEFAULTS.items()},
            **clock.environment,
            "TAGWERK_MODEL_STORE": str(folder / "store"),
        }
        well = True

        def report(result: Result) -> None:
            nonlocal well
            print(result, flush=True)
            well &= not result.faults

        say("starting the service, which compiles its steps first")
        with started(folder / "service", environment, log) as service:
            kinds = Counter(service.processes().values())
            if chosen:
                print(HEAD, "-" * WIDTH, sep="\n", flush=True)
            for scenario in chosen:
                say(f"{time.strftime('%H:%M:%S')} {scenario.name}")
                report(asyncio.run(play(service, scenario, kinds)))
            if attacks := chosen_attacks(words):
                rows, stood = run_attacks(service, environment, folder, attacks)
                well &= stood
                if table is not None:
                    table.write_text(markdown(rows) + "\n", encoding="utf-8")
            print(HEAD, "-" * WIDTH, sep="\n", flush=True)
            report(asyncio.run(end(service, endings.TERMINATED)))
        if not words or any(word in endings.ORPHANED.name for word in words):
            with started(folder / "orphaned", environment, log) as service:
                report(asyncio.run(end(service, endings.ORPHANED)))
        return well


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.chaos", description="Breaks the service on purpose.")
    parser.add_argument("words", nargs="*", help="play the scenarios with one of these in their names; default: all")
    parser.add_argument("--log", type=Path, help="keep the service's log in this file")
    parser.add_argument("--table", type=Path, help=f"write the table of {hostile.NAME} to this file, in Markdown")
    options = parser.parse_args()
    try:
        return 0 if run(options.words, options.log, options.table) else 1
    except RuntimeError as error:
        say(f"chaos: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

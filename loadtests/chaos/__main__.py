"""Breaks the service on purpose, and says what its clients saw.

    python -m loadtests.chaos                     everything
    python -m loadtests.chaos kill disk           the scenarios with one of these words in their names
    python -m loadtests.chaos hostile             the attacks of hostile clients alone, which have a table of their own
    python -m loadtests.chaos trailers            those of them with this word in their names

One service goes through all of it. Progress goes to stderr, the tables to stdout. The exit status is 1 on a violation.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.chaos import connections, hostile, processes
from loadtests.chaos.clients import BOUND_SECONDS, GRACE_SECONDS, neighbours
from loadtests.chaos.clock import Clock
from loadtests.chaos.hostile.play import chosen as chosen_attacks
from loadtests.chaos.hostile.play import run as run_attacks
from loadtests.chaos.hostile.report import markdown
from loadtests.chaos.ledger import Ledger
from loadtests.chaos.scenario import Impossible, Scenario
from loadtests.chaos.store import Store
from loadtests.chaos.victim import Victim, within
from loadtests.rounds import say
from loadtests.servers import stopped_by_signals

WIDTH = 80
SETTLE_SECONDS = 30.0  # for what a scenario leaves to end
STOP_SECONDS = 60.0
GRID = {"TAGWERK_BATCH_SIZES": "1,4,16"}  # a small one, so that an engine starts soon


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a scenario."""

    scenario: Scenario
    ledger: Ledger
    seen: str
    faults: list[str]
    skipped: bool = False

    def __str__(self) -> str:
        statuses = self.ledger.statuses()
        refused = statuses.total() - statuses[200]
        ledger = self.ledger
        verdict = "skipped" if self.skipped else "BROKEN" if self.faults else "ok"
        numbers = f"{ledger.sent:5} {statuses[200]:5} {refused:5} {ledger.dropped:5} {ledger.lost:4} {ledger.hung:4}"
        lines = [f"{self.scenario.name[:44]:44} {numbers} {verdict:>7}".rstrip()]
        codes = ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()) if status != 200)
        slowest = f"slowest {ledger.slowest:.1f} s" if ledger.sent else ""
        facts = "; ".join(part for part in (self.seen, codes, slowest) if part)
        lines += [*_folded("asked: ", self.scenario.asked), *_folded("seen:  ", facts)]
        return "\n".join(lines + [line for fault in self.faults for line in _folded("FAULT: ", fault)])


def _folded(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"  {label}", subsequent_indent=" " * (2 + len(label)))


HEAD = f"{'scenario':44} {'sent':>5} {'200':>5} {'refus':>5} {'gone':>5} {'lost':>4} {'hung':>4}"


async def play(victim: Victim, scenario: Scenario, kinds: Counter[str]) -> Result:
    """Plays a scenario and checks what it leaves. `kinds` are the processes that there were at first."""
    ledger, seen, faults, skipped = Ledger(), "", [], False
    before = await asyncio.to_thread(victim.answered)
    async with neighbours(victim.port, ledger, scenario.deadline_seconds):
        await asyncio.sleep(1)
        try:
            seen = await scenario.run(victim, ledger)
        except AssertionError as error:
            faults.append(str(error))
        except Impossible as error:
            seen, skipped = str(error), True
        await asyncio.sleep(1)
    bound = scenario.deadline_seconds + GRACE_SECONDS if scenario.deadline_seconds else BOUND_SECONDS
    faults += ledger.faults(set(scenario.allowed), scenario.may_lose, bound)
    faults += await asyncio.to_thread(aftermath, victim, ledger, kinds, before)
    return Result(scenario, ledger, seen, faults, skipped)


def aftermath(victim: Victim, ledger: Ledger, kinds: Counter[str], before: Counter[tuple[str, int]]) -> list[str]:
    """Returns what a scenario left behind that it should not have."""

    def counted() -> list[str]:
        return ledger.disagreements(victim.answered() - before)

    checks: Sequence[tuple[str, Callable[[], bool], Callable[[], object]]] = [
        ("not ready again", victim.ready, lambda: "/readyz"),
        ("other processes than at first", lambda: Counter(victim.working().values()) == kinds, victim.working),
        ("places that were not given back", lambda: not victim.held(), victim.held),
        ("figures that do not agree", lambda: not counted(), counted),
    ]
    faults = []
    for what, holds, shown in checks:
        if within(SETTLE_SECONDS, holds) is None:
            with contextlib.suppress(OSError):
                faults.append(f"{what}: {shown()}")
    return faults


def stop(victim: Victim) -> list[str]:
    """Sends SIGTERM to the service; returns what is wrong with its end."""
    before = victim.processes()
    victim.server.process.send_signal(signal.SIGTERM)
    ended = within(STOP_SECONDS, lambda: victim.server.process.poll() is not None)
    if ended is None:
        return [f"still there {STOP_SECONDS:g} s after SIGTERM"]
    status = victim.server.process.returncode
    left = within(SETTLE_SECONDS, lambda: not victim.processes())
    faults = [f"ended with status {status}"] if status else []
    return faults + ([f"left behind: {victim.processes()} of {before}"] if left is None else [])


def run(words: Sequence[str], log: Path | None, table: Path | None) -> bool:
    """Plays the scenarios; returns whether all was well."""
    with tempfile.TemporaryDirectory(prefix="tagwerk-chaos-") as name, stopped_by_signals():
        folder = Path(name)
        clock, store = (
            Clock(folder),
            Store(Path(os.environ.get("TAGWERK_MODEL_STORE", "model_store")), folder / "store"),
        )
        all_of_them = [*processes.SCENARIOS, *connections.SCENARIOS, *store.scenarios(), clock.scenario()]
        chosen = [s for s in all_of_them if not words or any(word in s.name for word in words)]
        environment = {
            "TAGWERK_XLA_CACHE": os.environ.get("TAGWERK_XLA_CACHE") or str(folder / "xla"),
            "TAGWERK_RECEIVE_TIMEOUT_SECONDS": str(connections.RECEIVE_SECONDS),
            **{name: os.environ.get(name, value) for name, value in GRID.items()},
            **clock.environment,
            "TAGWERK_MODEL_STORE": str(folder / "store"),
        }
        say("starting the service, which compiles for a minute or two")
        victim = Victim(folder, environment)
        try:
            victim.server.wait_until_ready()
            kinds = Counter(victim.working().values())
            well = True
            if chosen:
                print(HEAD, "-" * WIDTH, sep="\n", flush=True)
            for scenario in chosen:
                say(f"{time.strftime('%H:%M:%S')} {scenario.name}")
                result = asyncio.run(play(victim, scenario, kinds))
                print(result, flush=True)
                well &= not result.faults
            if attacks := chosen_attacks(words):
                rows, stood = run_attacks(victim, environment, folder, attacks)
                well &= stood
                if table is not None:
                    table.write_text(markdown(rows) + "\n", encoding="utf-8")
            faults = stop(victim)
            print(f"{'SIGTERM':72} {'BROKEN' if faults else 'ok':>7}", "  asked: status 0, no process left", sep="\n")
            print(*(line for fault in faults for line in _folded("FAULT: ", fault)), sep="\n")
            return well and not faults
        finally:
            if log is not None:
                log.write_bytes(victim.log.read_bytes())
            victim.server.stop()
            for pid in victim.processes():
                os.kill(pid, signal.SIGKILL)


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

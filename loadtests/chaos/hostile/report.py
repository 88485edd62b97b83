"""What the neighbour saw of an attack, what is wrong with it, and the table."""

import math
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from loadtests.chaos.hostile.attack import MOST_SECONDS, NO_ANSWER, Attack, Statuses
from loadtests.neighbour import Waits

WIDTH = 80
MOST_MEANWHILE = 256.0  # MB, of a process's memory during an attack
MOST_GROWTH = 30.0  # MB, of a process's memory over all attacks
ALLOWED = frozenset({503, 504})  # of the statuses of 5xx
HEAD = f"{'attack':41} {'worst':>5} {'own':>4} {'p99':>4} {'first':>5} {'peak':>5} {'after':>5} {'':>4}"
UNITS = f"{'':41} {'ms':>5} {'ms':>4} {'ms':>4} {'MB':>5} {'MB':>5} {'MB':>5}"


@dataclass(frozen=True, slots=True)
class Memory:
    """Of the server process whose memory has grown most, in MB."""

    before: float
    peak: float
    after: float


@dataclass(frozen=True, slots=True)
class Row:
    """The outcome of an attack."""

    attack: Attack
    seconds: float
    statuses: Statuses  # that the attacker was answered
    waits: Waits
    memory: Memory
    failures: list[str] = field(default_factory=list)  # of what the attack itself checks

    def faults(self) -> list[str]:
        """Returns what is wrong."""
        found, waits = list(self.failures), self.waits
        # NaN, where there was no answer, is too much.
        if not waits.worst_undisturbed_seconds <= MOST_SECONDS:
            found.append(
                f"the neighbour waited {figure(waits.worst_undisturbed_seconds)} ms without waits for a processor,"
                f" more than {figure(MOST_SECONDS)}"
            )
        if (grown := self.memory.peak - self.memory.before) > MOST_MEANWHILE:
            found.append(f"the memory of a process grew by {grown:.0f} MB meanwhile, more than {MOST_MEANWHILE:g}")
        if strange := set(waits.statuses) - self.attack.neighbour_may_get:
            found.append(f"the neighbour was answered {shown(Counter({s: waits.statuses[s] for s in strange}))}")
        if wrong := {status: n for status, n in self.statuses.items() if status >= 500 and status not in ALLOWED}:
            found.append(f"the attacker was answered {shown(Counter(wrong))}")
        if self.statuses[NO_ANSWER] and not self.attack.may_lack_answers:
            found.append(f"the attacker got no answer to {self.statuses[NO_ANSWER]} of its requests")
        return found

    def __str__(self) -> str:
        memory, faults = self.memory, self.faults()
        worst, own, p99, _ = self.waits
        numbers = f"{figure(worst):>5} {figure(own):>4} {figure(p99):>4}"
        sizes = f"{memory.before:5.0f} {memory.peak:5.0f} {memory.after:5.0f}"
        lines = [f"{self.attack.name:41} {numbers} {sizes} {'FAIL' if faults else 'ok':>4}"]
        lines += folded("seen:  ", f"{shown(self.statuses) or 'nothing was sent'}; {self.seconds:.1f} s")
        return "\n".join(lines + [line for fault in faults for line in folded("FAULT: ", fault)])


def memory_line(before: float, after: float) -> str:
    """Returns the last line of the table."""
    grown = after - before
    verdict = "FAIL" if grown > MOST_GROWTH else "ok"
    what = f"memory of a process: {before:.0f} MB before, {after:.0f} after, at most {MOST_GROWTH:g} more"
    return f"{what:75} {verdict:>4}"


def markdown(rows: Iterable[Row]) -> str:
    """Returns the table as docs/results.md has it."""
    lines = [
        "| attack | answers | worst, ms | without waits for a processor | p99, ms"
        " | a process's memory before, peak, after, MB |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        waits, memory = row.waits, row.memory
        sizes = f"{memory.before:.0f}, {memory.peak:.0f}, {memory.after:.0f}"
        times = " | ".join(map(figure, waits[:3]))
        lines.append(f"| {row.attack.name} | {shown(row.statuses) or '—'} | {times} | {sizes} |")
    return "\n".join(lines)


def folded(label: str, text: str) -> list[str]:
    """Returns a text under a label in lines of the table's width."""
    return textwrap.wrap(text, WIDTH, initial_indent=f"  {label}", subsequent_indent=" " * (2 + len(label)))


def figure(seconds: float) -> str:
    """Returns milliseconds."""
    return "-" if math.isnan(seconds) else f"{1000 * seconds:.0f}"


def shown(statuses: Statuses) -> str:
    """Returns how often each status came."""
    names = {NO_ANSWER: "no answer"}
    return ", ".join(f"{count} x {names.get(status, status)}" for status, count in sorted(statuses.items()))

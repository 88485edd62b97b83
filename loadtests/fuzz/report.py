"""Finds the faults among the outcomes of the fuzz, and counts these in a table."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from loadtests.fuzz.play import Outcome
from loadtests.neighbour import Sample
from loadtests.wire import Exchange

MOST_SECONDS = 0.25  # that the neighbour may wait
MOST_SUSPECTS = 8  # cases that are shown for a wait
# 501: a transfer coding that is not chunked. 503: no process is ready, or a model is not.
# 504: the deadline passed, which every well-formed case sets to 2 s.
ALLOWED = frozenset({501, 503, 504})
NONE = "none"  # in the place of a status: no answer came, which a request that is not HTTP or not whole may get


def fault_of(outcome: Outcome) -> str | None:
    """Returns what is wrong with what came back, if anything."""
    seen = outcome.exchange
    if seen.malformed:
        return f"the answer is not HTTP: {seen.malformed}"
    if wrong := [status for status in seen.statuses if status >= 500 and status not in ALLOWED]:
        return f"answered {wrong[0]}"
    if outcome.case.must_answer and seen.complete < outcome.case.answers and not _ended(seen):
        how = "the connection was closed" if seen.closed else f"nothing more came in {outcome.case.seconds:g} s"
        return f"{seen.complete} of {outcome.case.answers} answers came whole, then {how}"
    return None


def _ended(seen: Exchange) -> bool:
    """Returns whether the last answer came whole and said that the connection ends, so that the rest is sent anew.

    The service does so where another process has fewer connections; a request that it cannot read has a 400.
    """
    return seen.closed and 0 < seen.complete == len(seen.statuses) and seen.says_close and seen.statuses[-1] != 400


def stalls(samples: Iterable[Sample], outcomes: Sequence[Outcome]) -> list[str]:
    """Returns a line for each request of the neighbour that waited too long, with the cases that were under way."""
    found = []
    for sample in samples:
        if sample.undisturbed_seconds > MOST_SECONDS:
            suspects = ", ".join(str(one.case.number) for one in suspected(sample, outcomes))
            found.append(
                f"the neighbour waited {1000 * sample.seconds:.0f} ms, of which"
                f" {1000 * sample.without_processor:.0f} for a processor, most likely for one of the cases {suspects}"
            )
        if sample.status != 200:
            found.append(f"the neighbour was answered {sample.status or NONE}")
    return found


def suspected(sample: Sample, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Returns the cases that were under way for the largest part of a wait, the largest first."""

    def overlap(one: Outcome) -> float:
        return min(one.ended, sample.sent + sample.seconds) - max(one.began, sample.sent)

    return sorted((one for one in outcomes if overlap(one) > 0), key=overlap, reverse=True)[:MOST_SUSPECTS]


class Tally:
    """Counts the cases by kind and status."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._cases: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Counts a case: each of its answers, or that none came."""
        kind, statuses = outcome.case.kind, outcome.exchange.statuses
        self._cases[kind] += 1
        self._counts[kind].update([str(status) for status in statuses] or [NONE])

    def __str__(self) -> str:
        """Returns a table: a line for each kind, a column for each status."""
        columns = sorted({status for counts in self._counts.values() for status in counts})
        lines = [["kind", "cases", *columns]]
        for kind, counts in sorted(self._counts.items()):
            lines.append([kind, str(self._cases[kind]), *(str(counts[status] or "") for status in columns)])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rows = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join(row.rstrip() for row in rows)

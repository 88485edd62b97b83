"""Rounds of two servers in turn, and the rows of the tables that come of them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.aims import P99_RATIOS, RATIOS, Figure
from loadtests.client import Measurement
from loadtests.figures.base import SATURATION
from loadtests.processor import Round, processor_seconds
from loadtests.rounds import figure, load, say
from loadtests.servers import Server

SERVICE = "service"
WARM_UP_SECONDS = 1.0
NAMES = {"no-lemmas": "/tag, no lemmas"}  # of requests

HEADS = (
    *("requests", "clients", "beside", "processes", "word memory", "requests/s", "other", "ratio", "its range"),
    *("p50 ms", "other", "p99 ms", "other"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the rounds of both servers, pair by pair."""

    traffic: str  # a kind of requests, see `loadtests.traffic`
    clients: int
    peer: str
    kind: str  # of the other's endpoints, the faster one
    processes: int  # of the other
    words: bool  # whether the other remembers words
    service: Sequence[Round]
    other: Sequence[Measurement]
    errors: int

    @property
    def ratios(self) -> list[float]:
        """How many times as many requests the service answered in each round."""
        both = zip(self.service, self.other, strict=True)
        return [own.seen.requests_per_second / other.requests_per_second for own, other in both]

    def cells(self) -> list[str]:
        """Returns its cells, see `HEADS`: medians over the rounds."""
        own = [one.seen for one in self.service]
        numbers = [
            figure(median(getattr(measured, name) for measured in side))
            for name in ("requests_per_second", "p50_ms", "p99_ms")
            for side in (own, self.other)
        ]
        span = f"{figure(min(self.ratios))}–{figure(max(self.ratios))}"
        name = f"{self.peer} {self.kind}".strip()
        words = ("yes" if self.words else "no") if self.traffic in ("tag", "no-lemmas") else "–"
        head = [name_of(self.traffic), str(self.clients), name, str(self.processes), words]
        return [*head, *numbers[:2], figure(median(self.ratios)), span, *numbers[2:]]

    def figures(self) -> list[Figure]:
        """Returns the figures that have an aim: ratios at saturation."""
        found: list[Figure] = []
        if self.clients != SATURATION:
            return found
        which = self.traffic, self.peer, self.words
        memory = " with a memory of words" if self.words else ""
        what, details = f"{name_of(self.traffic)}, over {self.peer}{memory}", f"{len(self.ratios)} rounds"
        if aim := RATIOS.get(which):
            found.append(Figure(f"requests/s of {what}", median(self.ratios), aim, details))
        if aim := P99_RATIOS.get(which):
            pairs = zip(self.service, self.other, strict=True)
            ratio = median(own.seen.p99_ms / other.p99_ms for own, other in pairs)
            found.append(Figure(f"p99 of {what}", ratio, aim, details))
        return found


def name_of(traffic: str) -> str:
    """Returns how a kind of requests is shown."""
    return NAMES.get(traffic, f"/{traffic}")


def table(rows: Sequence[Row]) -> str:
    """Returns the rows as a table of Markdown."""
    lines = [HEADS, ["---"] * 5 + ["---:"] * 8, *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def processor_figures(rows: Sequence[Row]) -> list[Figure]:
    """Returns the processor time of a request at saturation, the median of all rounds of the service."""
    figures = []
    at_saturation = [row for row in rows if row.clients == SATURATION]
    for traffic in dict.fromkeys(row.traffic for row in at_saturation):
        spent = [one.cpu_milliseconds for row in at_saturation if row.traffic == traffic for one in row.service]
        what = f"processor time of a request to {name_of(traffic)}, {SATURATION} clients"
        span = f"{figure(min(spent))} to {figure(max(spent))} ms in {len(spent)} rounds"
        figures.append(Figure(what, median(spent), None, span, "ms"))
    return figures


def rate_of(target: str, clients: int, seconds: float) -> float:
    """Returns the requests per second of a short round, after one that does not count."""
    load(target, clients, WARM_UP_SECONDS)
    return load(target, clients, seconds).requests_per_second


def compare(
    service: Server, targets: Mapping[str, str], clients: int, rounds: int, seconds: float
) -> tuple[list[Round], dict[str, list[Measurement]], int]:
    """Loads all targets, the service's and all kinds of the other's, in turn, after a round that does not count.

    All get the same requests in a round, with rare words that none has met. Returns the rounds of the service, those of
    each kind, and how many requests failed.
    """
    own: list[Round] = []
    others: dict[str, list[Measurement]] = {kind: [] for kind in targets if kind != SERVICE}
    errors = sum(load(target, clients, WARM_UP_SECONDS).errors for target in targets.values())
    for number in range(1, rounds + 1):
        seed = str(random.randrange(2**32))
        for kind, target in targets.items():
            before = processor_seconds(service) if kind == SERVICE else None
            measured = load(target, clients, seconds, "--seed", seed)
            errors += measured.errors
            if before is None:
                others[kind].append(measured)
            else:
                own.append(Round(measured, seconds, processor_seconds(service) - before))
        rates = {SERVICE: own[-1].seen, **{kind: side[-1] for kind, side in others.items()}}
        shown = ", ".join(f"{kind or 'other'} {figure(seen.requests_per_second)}/s" for kind, seen in rates.items())
        say(f"clients: {clients}, round {number} of {rounds}: {shown}")
    return own, others, errors

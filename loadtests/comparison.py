"""Rounds of two servers in turn, and the rows of the tables that come of them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.aims import CPU_PER_REQUEST, P99_OVER_MOSEC, RATIOS, Figure
from loadtests.client import Measurement
from loadtests.figures.base import SATURATION
from loadtests.processor import Round, processor_seconds
from loadtests.rounds import figure, load, say
from loadtests.servers import Server

SERVICE = "service"
WARM_UP_SECONDS = 1.0
KINDS_OF_PROCESS = {"api": "worker", "engine": "engine"}

HEADS = (
    *("endpoint", "clients", "beside", "processes", "word memory", "requests/s", "other", "ratio", "its range"),
    *("p50 ms", "other", "p99 ms", "other"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the rounds of both servers, pair by pair."""

    endpoint: str
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
        words = ("yes" if self.words else "no") if self.endpoint == "tag" else "–"  # no other model needs one
        head = [f"/{self.endpoint}", str(self.clients), name, str(self.processes), words]
        return [*head, *numbers[:2], figure(median(self.ratios)), span, *numbers[2:]]

    def figures(self) -> list[Figure]:
        """Returns the figures that have an aim: ratios at saturation, beside peers as their frameworks are."""
        found = []
        at_saturation = self.clients == SATURATION and not self.words
        what = f"/{self.endpoint}, {self.clients} clients, over {self.peer}"
        if at_saturation and (aim := RATIOS.get((self.endpoint, self.peer))):
            found.append(Figure(f"requests/s of {what}", median(self.ratios), aim, f"{len(self.ratios)} rounds"))
        if at_saturation and (self.endpoint, self.peer) == ("classify", "mosec"):
            pairs = zip(self.service, self.other, strict=True)
            ratio = median(own.seen.p99_ms / other.p99_ms for own, other in pairs)
            found.append(Figure(f"p99 of {what}", ratio, P99_OVER_MOSEC, f"{len(self.ratios)} rounds"))
        return found


def table(rows: Sequence[Row]) -> str:
    """Returns the rows as a table of Markdown."""
    lines = [HEADS, ["---"] * 5 + ["---:"] * 8, *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def processor_figures(rows: Sequence[Row]) -> list[Figure]:
    """Returns the processor time of a request at saturation, the median of all rounds of the service."""
    figures = []
    for (endpoint, kind), aim in CPU_PER_REQUEST.items():
        rounds = [one for row in rows if (row.endpoint, row.clients) == (endpoint, SATURATION) for one in row.service]
        spent = [one.milliseconds(kind) for one in rounds]
        if spent:
            what = f"processor time of the {KINDS_OF_PROCESS[kind]} for one /{endpoint}, {SATURATION} clients"
            span = f"{figure(min(spent))} to {figure(max(spent))} ms in {len(spent)} rounds"
            figures.append(Figure(what, median(spent), aim, span))
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

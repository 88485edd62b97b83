"""Requests per second and latency of this service and of others, on the same models.

    python -m loadtests.bench --peers plain mosec --endpoints tag

The service and one of the others run at a time, and are loaded in turn, round by round, so that both see the same
machine. The table says medians over the rounds, and how many times as many requests the service answered in each round
as the other in the round beside it. Progress goes to stderr. The exit status is 1 where a request failed.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from loadtests.agreement import check_agreement
from loadtests.client import Measurement
from loadtests.opponents import OPPONENTS
from loadtests.rounds import figure, load, say
from loadtests.servers import Server, running, start_service

ENDPOINTS = ("tag", "classify", "generate")
SERVICE = "service"
WARM_UP_SECONDS = 1.0

HEADER = f"""\
{"":16}{"requests/s":>12}{"":16}{"p50 ms":>12}{"p99 ms":>12}
endpoint clients  ours other ratio     range  ours other  ours other other"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the rounds of both servers, pair by pair."""

    endpoint: str
    clients: int
    service: Sequence[Measurement]
    other: Sequence[Measurement]
    name: str  # of the other, and of the faster of its kinds of endpoints
    errors: int

    def __str__(self) -> str:
        both = self.service, self.other
        ratios = [s.requests_per_second / o.requests_per_second for s, o in zip(*both, strict=True)]
        rates = [figure(median(m.requests_per_second for m in side)) for side in both]
        p50 = [figure(median(m.p50_ms for m in side)) for side in both]
        p99 = [figure(median(m.p99_ms for m in side)) for side in both]
        span = f"{figure(min(ratios))}-{figure(max(ratios))}"
        return (
            f"{self.endpoint:8}{self.clients:8}{rates[0]:>6}{rates[1]:>6}{figure(median(ratios)):>6}{span:>10}"
            f"{p50[0]:>6}{p50[1]:>6}{p99[0]:>6}{p99[1]:>6} {self.name}"
        )


def compare(endpoint: str, targets: Mapping[str, str], clients: int, rounds: int, seconds: float) -> Row:
    """Loads all targets, the service's and all kinds of the other's, in turn, after a round that does not count."""
    measured: dict[str, list[Measurement]] = {target: [] for target in targets}
    errors = sum(load(target, clients, WARM_UP_SECONDS).errors for target in targets.values())
    for number in range(1, rounds + 1):
        for kind, target in targets.items():
            measured[kind].append(load(target, clients, seconds))
        rates = ", ".join(f"{kind} {figure(ms[-1].requests_per_second)}/s" for kind, ms in measured.items())
        say(f"/{endpoint}, clients: {clients}, round {number} of {rounds}: {rates}")
    errors += sum(m.errors for side in measured.values() for m in side)
    service = measured.pop(SERVICE)
    kind = max(measured, key=lambda kind: median(m.requests_per_second for m in measured[kind]))
    return Row(endpoint, clients, service, measured[kind], kind, errors)


def meet(
    service: Server, name: str, endpoints: Sequence[str], client_counts: Sequence[int], rounds: int, seconds: float
) -> Iterator[Row]:
    """Yields what is measured against one opponent: each endpoint that it has, at each number of clients."""
    opponent = OPPONENTS[name]
    for endpoint in endpoints:
        if endpoint not in opponent.endpoints:
            continue
        say(f"starting {name}")
        with running(partial(opponent.start, endpoint)) as other:
            targets = {SERVICE: f"{service.address}/{endpoint}"}
            targets |= {
                f"{name} {kind}".strip(): f"{other.address}/{path}{endpoint}" for kind, path in opponent.kinds.items()
            }
            url, *others = (f"http://{target}" for target in targets.values())
            say(f"/{endpoint}: {name} answers {check_agreement(endpoint, url, others)} requests like the service")
            for clients in client_counts:
                yield compare(endpoint, targets, clients, rounds, seconds)


def main() -> int:
    """Runs the comparison; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description="This service and others.")
    parser.add_argument("--peers", nargs="+", choices=OPPONENTS, default=("plain",), help="whom to measure against")
    parser.add_argument("--endpoints", nargs="+", choices=ENDPOINTS, default=ENDPOINTS)
    parser.add_argument("--clients", nargs="+", type=int, default=(1, 16, 64))
    parser.add_argument("--rounds", type=int, default=4, help="rounds of each server at each number of clients")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round")
    options = parser.parse_args()
    rows: list[Row] = []
    try:
        say("starting the service, which compiles for a minute or two")
        with running(start_service) as service:
            for name in options.peers:
                rows += meet(service, name, options.endpoints, options.clients, options.rounds, options.seconds)
    except (RuntimeError, ValueError) as error:
        say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    print(HEADER, *rows, sep="\n")
    errors = sum(row.errors for row in rows)
    print(f"\nMedians of {options.rounds} rounds of {options.seconds:g} s each. Requests that failed: {errors}.")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())

"""Requests per second and latency of this service and of a plain FastAPI app, on the same models.

    python -m loadtests.bench

Both servers run all the time and are loaded in turn, round by round, so that both see the same machine. The table says
medians over the rounds, and how many times as many requests the service answered in each round as the plain app in the
round beside it. Progress goes to stderr. The exit status is 1 where a request failed.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.agreement import check_agreement
from loadtests.client import Measurement
from loadtests.servers import running

ENDPOINTS = ("tag", "classify", "generate")
SERVICE, PLAIN = "service", ("def", "async")  # the plain app has two kinds of endpoints
WARM_UP_SECONDS = 1.0
SPARE_SECONDS = 120.0  # for the last answers of a round

HEADER = f"""\
{"":16}{"requests/s":>14}{"":16}{"p50 ms":>14}{"p99 ms":>14}
endpoint clients service plain ratio     range service plain service plain kind"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the rounds of both servers, pair by pair; `kind` is the plain app's faster endpoint."""

    endpoint: str
    clients: int
    service: Sequence[Measurement]
    plain: Sequence[Measurement]
    kind: str
    errors: int

    def __str__(self) -> str:
        ratios = [s.requests_per_second / p.requests_per_second for s, p in zip(self.service, self.plain, strict=True)]
        rates = [median(m.requests_per_second for m in side) for side in (self.service, self.plain)]
        p50 = [median(m.p50_ms for m in side) for side in (self.service, self.plain)]
        p99 = [median(m.p99_ms for m in side) for side in (self.service, self.plain)]
        span = f"{figure(min(ratios))}-{figure(max(ratios))}"
        return (
            f"{self.endpoint:8}{self.clients:8}{figure(rates[0]):>8}{figure(rates[1]):>6}"
            f"{figure(median(ratios)):>6}{span:>10}"
            f"{figure(p50[0]):>8}{figure(p50[1]):>6}{figure(p99[0]):>8}{figure(p99[1]):>6} {self.kind}"
        )


def figure(value: float) -> str:
    """Returns a number in three digits, or as many as it has before the point."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def load(target: str, clients: int, seconds: float) -> Measurement:
    """Runs one round in a process of its own."""
    command = [sys.executable, "-m", "loadtests.client", target, "--clients", str(clients), "--seconds", str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=seconds + SPARE_SECONDS)
    return Measurement(**json.loads(done.stdout))


def compare(endpoint: str, targets: Mapping[str, str], clients: int, rounds: int, seconds: float) -> Row:
    """Loads all targets in turn for that many rounds, after one that does not count."""
    measured: dict[str, list[Measurement]] = {name: [] for name in targets}
    errors = sum(load(target, clients, WARM_UP_SECONDS).errors for target in targets.values())
    for number in range(1, rounds + 1):
        for name, target in targets.items():
            measured[name].append(load(target, clients, seconds))
        rates = ", ".join(f"{name} {figure(ms[-1].requests_per_second)}/s" for name, ms in measured.items())
        say(f"/{endpoint}, clients: {clients}, round {number} of {rounds}: {rates}")
    kind = max(PLAIN, key=lambda name: median(m.requests_per_second for m in measured[name]))
    errors += sum(m.errors for side in measured.values() for m in side)
    return Row(endpoint, clients, measured[SERVICE], measured[kind], kind, errors)


def measure(endpoints: Sequence[str], client_counts: Sequence[int], rounds: int, seconds: float) -> list[Row]:
    """Measures every endpoint at every number of clients. Raises RuntimeError, ValueError."""
    rows: list[Row] = []
    say("starting both servers; the service compiles for a minute")
    with running() as (service, plain):
        for endpoint in endpoints:
            targets = {SERVICE: f"{service.address}/{endpoint}"}
            targets |= {kind: f"{plain.address}/{kind}/{endpoint}" for kind in PLAIN}
            url, *others = (f"http://{target}" for target in targets.values())
            say(f"/{endpoint}: both answer {check_agreement(endpoint, url, others)} requests alike")
            for clients in client_counts:
                rows.append(compare(endpoint, targets, clients, rounds, seconds))
    return rows


def say(line: str) -> None:
    """Tells the progress."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Runs the comparison; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description="This service and a plain app.")
    parser.add_argument("--endpoints", nargs="+", choices=ENDPOINTS, default=ENDPOINTS)
    parser.add_argument("--clients", nargs="+", type=int, default=(1, 16, 64))
    parser.add_argument("--rounds", type=int, default=4, help="rounds of each server at each number of clients")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round")
    options = parser.parse_args()
    try:
        rows = measure(options.endpoints, options.clients, options.rounds, options.seconds)
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

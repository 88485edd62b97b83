"""Measures how long requests of one API key wait while another key floods the service.

    python -m loadtests.fairness

One key tags sentences at a high rate (32 clients in a closed loop) or a low one (40 requests a second, at random
moments). Beside it, in turn: no other client; the other key floods, from 256 connections that send again at once,
whatever the answer; and, for comparison, the flood has the first key, as without fair queueing.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import median

from loadtests.aims import BESIDE_FLOOD, Figure
from loadtests.client import Measurement
from loadtests.rounds import figure, load, say
from loadtests.servers import Server, running, start_service
from loadtests.text import described
from service.security.keys import add_key

RATES = {"32 clients": (), "40 requests/s": ("--rate", "40")}  # of the measured key: options of the client
CONNECTIONS = 32  # of the measured key
FLOODING = 256  # connections of the flood
SETTLING_SECONDS = 2.0  # of a round, before it counts
IDLE, FLOOD, OWN = "no other client", "the other key floods", "its own key floods"


class Keys:
    """A service with two API keys."""

    def __init__(self) -> None:
        self.measured = self.other = ""

    def start(self, folder: Path) -> Server:
        """Starts the service."""
        file = folder / "keys.json"
        self.measured, self.other = (add_key(file, name, ["infer"]) for name in ("measured", "other"))
        return start_service(folder, TAGWERK_API_KEYS_FILE=str(file))


def measure(service: Server, keys: Keys, rate: Sequence[str], beside: str, seconds: float) -> Measurement:
    """Runs a round; returns what the measured key saw."""
    target, settling = f"{service.address}/tag", ("--settling", str(SETTLING_SECONDS))
    with ThreadPoolExecutor(1) as pool:  # waits for the last answers of the flood
        if beside != IDLE:
            key = keys.measured if beside == OWN else keys.other
            pool.submit(load, target, FLOODING, seconds + SETTLING_SECONDS, *settling, "--key", key)
        return load(target, CONNECTIONS, seconds, *rate, *settling, "--key", keys.measured)


def table(rounds: dict[tuple[str, str], list[Measurement]]) -> str:
    """Returns a row for each rate and each load beside it."""
    head = "| the key sends | beside it | p50 ms | p99 ms | answered a second | refused |"
    lines = [head, "| --- | --- |" + " ---: |" * 4]
    for (rate, beside), own in rounds.items():
        names = ("p50_ms", "p99_ms", "requests_per_second", "refused")
        medians = [figure(median(getattr(one, name) for one in own)) for name in names]
        lines.append(f"| {rate} | {beside} | {' | '.join(medians)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table and the figures; returns 1 where one is missed."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.fairness", description="Two API keys, one floods.")
    parser.add_argument("--rounds", type=int, default=4, help="of each")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a round")
    options = parser.parse_args(arguments)
    keys, rounds = Keys(), defaultdict[tuple[str, str], list[Measurement]](list)
    with running(keys.start) as service:
        load(f"{service.address}/tag", 16, 2.0, "--key", keys.measured)  # the words are learned
        for _, rate, beside in product(range(options.rounds), RATES, (IDLE, FLOOD, OWN)):
            done = measure(service, keys, RATES[rate], beside, options.seconds)
            rounds[rate, beside].append(done)
            say(f"{rate}, {beside}: p50 {figure(done.p50_ms)} ms, p99 {figure(done.p99_ms)} ms")
    found = []
    for rate in RATES:
        pairs = zip(rounds[rate, IDLE], rounds[rate, FLOOD], strict=True)
        ratios = [after.p99_ms / before.p99_ms for before, after in pairs]
        spread = f"{figure(min(ratios))} to {figure(max(ratios))} in {len(ratios)} rounds"
        found.append(Figure(f"p99 beside a flood, of that alone, {rate}", median(ratios), BESIDE_FLOOD, spread))
    print(f"The load: /tag, a sentence a request; {described()}.\n")
    print(table(rounds), "", *found, sep="\n")
    return int(not all(one.met for one in found))


if __name__ == "__main__":
    sys.exit(main())

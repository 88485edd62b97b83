"""Two API keys: does one that floods the service make the other wait?

    python -m loadtests.fairness

One sends RATE requests a second to /tag, each of a sentence, at random moments. Beside it, in turn: the other key sends
as many; the other key floods, from FLOODING connections that ask again at once, whatever they are answered; and, for
comparison, the flood comes with the first one's own key, as without fair queueing.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from loadtests.aims import BESIDE_FLOOD, Figure
from loadtests.client import Measurement
from loadtests.rounds import figure, load, say
from loadtests.servers import Server, running, start_service
from loadtests.text import described
from service.security.keys import add_key

RATE = 40.0  # requests a second of the one that is measured
CONNECTIONS = 32  # that it has for them
FLOODING = 256  # connections of the one that floods
SETTLING_SECONDS = 2.0  # of a round, before it counts
CALM, FLOOD, OWN = "the other key as often", "the other key floods", "its own key floods"


class Keys:
    """A service with two API keys."""

    def __init__(self) -> None:
        self.measured = self.other = ""

    def start(self, folder: Path) -> Server:
        """Starts the service."""
        file = folder / "keys.json"
        self.measured, self.other = (add_key(file, name, ["infer"]) for name in ("measured", "other"))
        return start_service(folder, TAGWERK_API_KEYS_FILE=str(file))


def measure(service: Server, keys: Keys, beside: str, seconds: float, pool: ThreadPoolExecutor) -> Measurement:
    """Runs a round; returns what the measured key saw."""
    target, settling = f"{service.address}/tag", ("--settling", str(SETTLING_SECONDS))
    slow = ("--rate", str(RATE), *settling)
    other = keys.measured if beside == OWN else keys.other
    clients, options = (CONNECTIONS, slow) if beside == CALM else (FLOODING, settling)
    pool.submit(load, target, clients, seconds + SETTLING_SECONDS, *options, "--key", other)
    return load(target, CONNECTIONS, seconds, *slow, "--key", keys.measured)


def table(rounds: dict[str, list[Measurement]]) -> str:
    """Returns a row for each neighbour."""
    lines = ["| beside | p50 ms | p99 ms | answered a second | refused |", "| --- |" + " ---: |" * 4]
    for beside, own in rounds.items():
        medians = [figure(median(getattr(one, name) for one in own)) for name in ("p50_ms", "p99_ms")]
        rate = figure(median(one.requests_per_second for one in own))
        lines.append(f"| {beside} | {' | '.join(medians)} | {rate} | {sum(one.refused for one in own)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table and the figure; returns 1 where it is missed."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.fairness", description="Two API keys, one floods.")
    parser.add_argument("--rounds", type=int, default=4, help="of each")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a round")
    options = parser.parse_args(arguments)
    keys, rounds = Keys(), dict[str, list[Measurement]]()
    with running(keys.start) as service:
        load(f"{service.address}/tag", 16, 2.0, "--key", keys.measured)  # the words are learned
        for _ in range(options.rounds):
            for beside in (CALM, FLOOD, OWN):
                with ThreadPoolExecutor(1) as pool:  # waits for the other's last answers
                    done = measure(service, keys, beside, options.seconds, pool)
                rounds.setdefault(beside, []).append(done)
                say(f"{beside}: p50 {figure(done.p50_ms)} ms, p99 {figure(done.p99_ms)} ms, {done.refused} times 429")
    ratios = [after.p99_ms / before.p99_ms for before, after in zip(rounds[CALM], rounds[FLOOD], strict=True)]
    spread = f"{figure(min(ratios))} to {figure(max(ratios))} in {len(ratios)} rounds"
    found = Figure(
        "p99 beside a key that floods, of that beside one that does not", median(ratios), BESIDE_FLOOD, spread
    )
    print(f"The load: /tag, {RATE:g} sentences a second of one key; {described()}.\n")
    print(table(rounds), "", found, sep="\n")
    return int(not found.met)


if __name__ == "__main__":
    sys.exit(main())

"""The service as it is beside one process a core that does everything in one thread, under the same load, in turn.

    python -m loadtests.one_thread --rounds 4 --seconds 5

The load is split: as many load clients as there are processes of the other arrangement, each with its part of the
connections. The service, too, is loaded by so many.
"""

import argparse
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from loadtests.client import Measurement
from loadtests.figures.base import SATURATION
from loadtests.figures.memory import MEGABYTE, memory, processes
from loadtests.processor import Round, processor_seconds
from loadtests.rounds import figure, load, say
from loadtests.servers import Server, free_port, running, start_service
from loadtests.text import described

HEADS = ("", "requests/s", "one thread", "ratio", "its range", "CPU ms", "one thread", "p99 ms", "one thread")


def start_one_thread(core: int, folder: Path) -> Server:
    """Starts one process of the other arrangement on a core."""
    port = free_port()
    environment = {"TAGWERK_HOST": "127.0.0.1", "TAGWERK_PORT": str(port)}
    command = [sys.executable, "-m", "loadtests.one_thread.server", "--core", str(core)]
    return Server(command, f"127.0.0.1:{port}", "/readyz", None, environment, folder / "log")


def together(addresses: Sequence[str], endpoint: str, seconds: float, seed: int) -> Measurement:
    """Runs a round of as many load clients as there are addresses; returns the sum, and the worst latencies."""
    clients = SATURATION // len(addresses)

    def one(number: int) -> Measurement:
        return load(f"{addresses[number]}/{endpoint}", clients, seconds, "--seed", str(seed + number))

    with ThreadPoolExecutor(len(addresses)) as pool:
        seen = list(pool.map(one, range(len(addresses))))
    if errors := sum(each.errors for each in seen):
        raise RuntimeError(f"{errors} requests failed")
    rate = sum(each.requests_per_second for each in seen)
    return Measurement(rate, max(each.p50_ms for each in seen), max(each.p99_ms for each in seen), 0, 0)


def busy(servers: Sequence[Server]) -> Counter[str]:
    """Returns the processor time that some servers have had, in seconds."""
    return sum((processor_seconds(server) for server in servers), Counter[str]())


def megabytes(servers: Sequence[Server]) -> float:
    """Returns the memory of some servers and what descends from them."""
    pids = [pid for server in servers for pid in processes(server.process.pid)]
    return sum(each.files + each.others for each in map(memory, pids)) / MEGABYTE


def main() -> int:
    """Prints the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.one_thread", description="Split or one thread a core.")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    rows: list[list[str]] = []
    try:
        with ExitStack() as stack:
            say("starting both arrangements")
            split = stack.enter_context(running(start_service))
            single = [stack.enter_context(running(partial(start_one_thread, core))) for core in cores]
            arrangements = {"split": [split], "one thread": single}
            for endpoint in ("tag", "classify"):
                seen: dict[str, list[Round]] = {name: [] for name in arrangements}
                for number in range(options.rounds + 1):  # the first does not count
                    seed = random.randrange(2**31)
                    for name, servers in arrangements.items():
                        addresses = [server.address for server in servers] * (len(cores) // len(servers))
                        before = busy(servers)
                        measured = together(addresses, endpoint, options.seconds, seed)
                        seen[name].append(Round(measured, options.seconds, busy(servers) - before))
                    rates = {name: figure(some[-1].seen.requests_per_second) for name, some in seen.items()}
                    shown = ", ".join(f"{name} {rate}/s" for name, rate in rates.items())
                    say(f"/{endpoint}, round {number}: {shown}")
                rows.append(row(endpoint, *(some[1:] for some in seen.values())))
            held = [figure(megabytes(servers)) for servers in ([split], single)]
    except RuntimeError as error:
        say(f"one_thread: {error}")
        return 1
    print(f"The load: {described()}; default requests, closed loop, {SATURATION} clients; {len(cores)} cores.")
    print(
        f"Medians of {options.rounds} rounds of {options.seconds:g} s. Memory: {held[0]} MB, one thread {held[1]} MB.\n"
    )
    print(*(f"| {' | '.join(line)} |" for line in [HEADS, ["---"] + ["---:"] * 8, *rows]), sep="\n")
    return 0


def row(endpoint: str, split: Sequence[Round], single: Sequence[Round]) -> list[str]:
    """Returns a line of the table: medians, and the processor time of a request over all processes."""
    both = zip(split, single, strict=True)
    ratios = [one.seen.requests_per_second / two.seen.requests_per_second for two, one in both]
    rates = [figure(median(each.seen.requests_per_second for each in side)) for side in (split, single)]
    p99 = [figure(median(each.seen.p99_ms for each in side)) for side in (split, single)]
    spent = [figure(median(sum(map(each.milliseconds, each.busy)) for each in side)) for side in (split, single)]
    span = f"{figure(min(ratios))}–{figure(max(ratios))}"
    return [f"/{endpoint}", *rates, figure(median(ratios)), span, *spent, *p99]


if __name__ == "__main__":
    sys.exit(main())

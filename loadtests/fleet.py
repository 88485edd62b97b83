"""Measures a fleet of `tagwerk.client`s at saturation and far past it: goodput, latencies, calls without an answer.

    python -m loadtests.fleet

Each client has calls of /tag under way at the same time, of SENTENCES sentences each, and begins the next when one is
answered. The service takes a queue of some thousand tokens, so that most of what comes past saturation is refused, and
the clients send it again. Both loads take turns, round by round; the medians count.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from multiprocessing import get_context
from statistics import median, quantiles

from loadtests.aims import FLEET_GOODPUT, LOST_CALLS, Figure
from loadtests.metrics import counted
from loadtests.rounds import figure, say
from loadtests.servers import Server, running, start_service
from loadtests.text import described, endless_text
from tagwerk.client import AsyncClient, ClientError

QUEUE_TOKENS = "4096"
SENTENCES = 16  # of a call
PROCESSES, CLIENTS = 2, 4  # client processes, and clients in each
CALLS = {"at saturation": 2, "past it": 32}  # of each client, under way at the same time
TIMEOUT_SECONDS = 60.0
REFUSED = "tagwerk_rejected_total"


@dataclass(frozen=True, slots=True)
class Round:
    """The outcome of a load."""

    sentences_per_second: float
    seconds: list[float]  # of the calls, with their retries
    lost: Counter[str]  # calls without an answer, by the error
    refused: float = 0.0  # answers 429


def work(url: str, calls: int, seconds: float, seed: int) -> tuple[int, list[float], Counter[str]]:
    """Runs the clients of a process; returns the sentences answered in time, the calls' seconds, and the lost ones."""
    return asyncio.run(_work(url, calls, seconds, seed))


async def _work(url: str, calls: int, seconds: float, seed: int) -> tuple[int, list[float], Counter[str]]:
    sentences, took, lost = 0, list[float](), Counter[str]()
    texts = endless_text(random.Random(seed))
    end = time.monotonic() + seconds

    async def call(client: AsyncClient) -> None:
        nonlocal sentences
        while time.monotonic() < end:
            begun = time.monotonic()
            try:
                answered = await client.tag(list(islice(texts, SENTENCES)))
            except ClientError as error:
                lost[type(error).__name__] += 1
                continue
            took.append(time.monotonic() - begun)
            if time.monotonic() < end:
                sentences += len(answered)

    async def fleet(client: AsyncClient) -> None:
        async with client:
            await asyncio.gather(*(call(client) for _ in range(calls)))

    clients = [AsyncClient(url, timeout_seconds=TIMEOUT_SECONDS, connections=calls) for _ in range(CLIENTS)]
    await asyncio.gather(*map(fleet, clients))
    return sentences, took, lost


def measure(service: Server, pool: ProcessPoolExecutor, calls: int, seconds: float) -> Round:
    """Loads the service for a round."""
    with counted(service.address, REFUSED) as grown:
        done = load_by_clients(f"http://{service.address}", pool, calls, seconds)
    return replace(done, refused=grown[REFUSED])


def load_by_clients(url: str, pool: ProcessPoolExecutor, calls: int, seconds: float) -> Round:
    """Runs the clients for some seconds; returns the outcome, without the refusals."""
    chances = [random.randrange(1 << 30) for _ in range(PROCESSES)]
    done = list(pool.map(partial(work, url, calls, seconds), chances))
    took = [each for _, taken, _ in done for each in taken]
    lost = sum((missing for _, _, missing in done), Counter[str]())
    return Round(sum(count for count, _, _ in done) / seconds, took, lost)


def table(rounds: dict[str, list[Round]]) -> str:
    """Returns a row for each load."""
    lines = ["| calls at the same time | sentences/s | p50 s | p99 s | 429 | lost |", "| --- |" + " ---: |" * 5]
    for load, own in rounds.items():
        took = sorted(each for one in own for each in one.seconds)
        rate = figure(median(one.sentences_per_second for one in own))
        p99 = quantiles(took, n=100)[98]
        numbers = f"{rate} | {figure(median(took))} | {figure(p99)} | {sum(one.refused for one in own):.0f}"
        calls = PROCESSES * CLIENTS * CALLS[load]
        lines.append(f"| {calls}, {load} | {numbers} | {sum(one.lost.total() for one in own)} |")
    return "\n".join(lines)


def figures(rounds: dict[str, list[Round]]) -> list[Figure]:
    """Returns how much of its goodput the service keeps past saturation, and how many calls had no answer."""
    base, past = rounds.values()
    shares = [
        100 * after.sentences_per_second / before.sentences_per_second for before, after in zip(base, past, strict=True)
    ]
    lost = sum((one.lost for own in rounds.values() for one in own), Counter[str]())
    spread = f"{figure(min(shares))} to {figure(max(shares))} in {len(shares)} rounds"
    return [
        Figure("goodput past saturation, of that at saturation", median(shares), FLEET_GOODPUT, spread),
        Figure("calls without an answer", lost.total(), LOST_CALLS, str(dict(lost) or "none")),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table and the figures; returns 1 where one is missed."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.fleet", description="A fleet of tagwerk.clients.")
    parser.add_argument("--rounds", type=int, default=4, help="of each load")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a round")
    options = parser.parse_args(arguments)
    rounds: dict[str, list[Round]] = {load: [] for load in CALLS}
    with (
        running(partial(start_service, TAGWERK_MAX_QUEUE_TOKENS=QUEUE_TOKENS)) as service,
        ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool,
    ):
        measure(service, pool, 1, 2.0)  # the words are learned, the client processes started
        for _ in range(options.rounds):
            for load, calls in CALLS.items():
                rounds[load].append(done := measure(service, pool, calls, options.seconds))
                say(f"{load}: {figure(done.sentences_per_second)} sentences/s, {done.refused:.0f} times 429")
    found = figures(rounds)
    print(f"The load: /tag, {SENTENCES} sentences a call; {described()}.\n")
    print(table(rounds), "", *found, sep="\n")
    return int(not all(each.met for each in found))


if __name__ == "__main__":
    sys.exit(main())

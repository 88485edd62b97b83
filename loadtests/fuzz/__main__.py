"""Sends mutated requests to the service: every endpoint, the streams, and bytes that are no HTTP.

    python -m loadtests.fuzz                                 10 000 cases against a service that it starts
    python -m loadtests.fuzz --seed 2 --cases 500            others, and fewer
    python -m loadtests.fuzz --seed 2 --case 481             one of them again, with what was sent and what came back
    python -m loadtests.fuzz --port 8000                     against a service that runs

A well-behaved client sends a request every 20 ms beside it. Progress and faults go to stderr, the table to stdout. The
exit status is 1 where there was a fault: a status of 5xx other than 503 and 504, an answer that is not HTTP, no answer
to a well-formed request, a neighbour that waited more than 0.25 s or was not answered 200, a process that ended.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from loadtests.chaos.service_under_test import ServiceUnderTest
from loadtests.fuzz.cases import make
from loadtests.fuzz.play import Outcome, outcome, play
from loadtests.fuzz.report import MOST_SECONDS, Tally, fault_of, stalls
from loadtests.fuzz.valid import Endpoint, endpoints
from loadtests.neighbour import Neighbour, summarize
from loadtests.rounds import say
from loadtests.servers import stopped_by_signals

CASES = 10_000
SHOWN_EVERY = 1000  # cases
MOST_SHOWN = 20  # faults
WARM_UP_SECONDS = 2.0
GIVE_UP_SECONDS = 30.0  # without an answer to the neighbour
GRID = {"TAGWERK_BATCH_SIZES": "1,4,16"}  # a small one, so that the service starts soon


@contextmanager
def started(log: Path | None) -> Iterator[ServiceUnderTest]:
    """Starts the service, and stops it at the end of the block; keeps its log in a file where one is named."""
    with tempfile.TemporaryDirectory(prefix="tagwerk-fuzz-") as folder, stopped_by_signals():
        environment = {name: os.environ.get(name, value) for name, value in GRID.items()}
        say("starting the service")
        service = ServiceUnderTest(Path(folder), environment)
        try:
            service.server.wait_until_ready()
            yield service
        finally:
            if log is not None:
                log.write_bytes(service.log.read_bytes())
            service.server.stop()


def listed(port: int) -> list[Endpoint]:
    """Returns the endpoints of a running service."""
    with urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=30) as response:
        return endpoints(json.load(response))


async def run(port: int, seed: int, count: int) -> list[str]:
    """Sends cases, prints the table; returns the faults, each with the case that shows it."""
    tally, faults = Tally(), list[str]()
    outcomes: list[Outcome] = []
    known = listed(port)
    cases = (make(seed, number, known) for number in range(count))
    with Neighbour(f"127.0.0.1:{port}") as neighbour:
        await asyncio.sleep(WARM_UP_SECONDS)
        began = time.monotonic()
        async with contextlib.aclosing(play(port, cases)) as played:
            async for one in played:
                tally.add(one)
                outcomes.append(one)
                if fault := fault_of(one):
                    faults.append(f"{fault}; {one.case}")
                    say(f"FAULT: {faults[-1]}")
                if len(outcomes) % SHOWN_EVERY == 0:
                    say(f"{len(outcomes)} cases in {time.monotonic() - began:.0f} s")
                if neighbour.silent_seconds() > GIVE_UP_SECONDS:
                    faults.append(f"no answer to the neighbour in {GIVE_UP_SECONDS:g} s; the run ends")
                    break
        ended = time.monotonic()
        await neighbour.settle(ended, GIVE_UP_SECONDS)
        samples = neighbour.samples(began, ended)
    faults += stalls(samples, outcomes)
    waits = summarize(samples)
    print(tally)
    print(
        f"{len(outcomes)} cases (seed {seed}) in {ended - began:.0f} s; {len(samples)} requests of the neighbour: worst"
        f" {1000 * waits.worst_seconds:.0f} ms, without waits for a processor"
        f" {1000 * waits.worst_undisturbed_seconds:.0f} (limit"
        f" {1000 * MOST_SECONDS:.0f}), p99 {1000 * waits.p99_seconds:.0f} ms; {len(faults)} faults"
    )
    return faults


async def replay(port: int, seed: int, number: int) -> list[str]:
    """Sends one case, prints what was sent and what came back; returns its faults."""
    case = make(seed, number, listed(port))
    for piece in case.pieces:
        print(f"> {piece!r}")
    one = await outcome(port, case)
    print(f"< {one.exchange} after {1000 * (one.ended - one.began):.0f} ms")
    return [fault] if (fault := fault_of(one)) else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.fuzz", description="Sends mutated requests.")
    parser.add_argument("--seed", type=int, default=1, help="of the random cases")
    parser.add_argument("--cases", type=int, default=CASES, help="how many")
    parser.add_argument("--case", type=int, help="send this one alone, and show it")
    parser.add_argument("--port", type=int, help="of a service that runs; by default one is started")
    parser.add_argument("--log", type=Path, help="keep the log of the service that is started in this file")
    options = parser.parse_args(arguments)
    with contextlib.nullcontext() if options.port else started(options.log) as service:
        port = service.port if service is not None else options.port
        before = service.processes() if service else {}
        sent = (
            replay(port, options.seed, options.case)
            if options.case is not None
            else run(port, options.seed, options.cases)
        )
        faults = asyncio.run(sent)
        if service and service.processes() != before:
            faults.append(f"processes ended or were started: {before} became {service.processes()}")
    for fault in faults[:MOST_SHOWN]:
        say(f"FAULT: {fault}")
    if faults:
        say(f"a case again: python -m loadtests.fuzz --seed {options.seed} --case NUMBER")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

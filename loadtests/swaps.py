"""Measures latencies during rollouts of new versions, and whether memory grows with them.

    python -m loadtests.swaps --swaps 20

The service runs on a copy of the model store, in which new versions of the tagger appear. Their weights are the same;
the length buckets of each are one more or less than those before, so the first rollout compiles all shapes
anew. Requests fall due at random moments, at a share of what a closed loop of 64 clients reaches, measured anew before
each of the rollouts under load. Rounds follow each other until the rollout is done; a request that fails ends all.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from loadtests.aims import ROLLOUT_P99, ROLLOUT_SECONDS, ROLLOUT_WORST_P99, ROLLOUTS_GROWTH, Figure
from loadtests.client import Measurement
from loadtests.figures.base import SATURATION
from loadtests.processes import memory_of, processes, server_processes
from loadtests.rounds import figure, load, say
from loadtests.servers import Server, Service, running, start_service
from loadtests.text import described
from service.settings import load_settings
from service.store.serving import served

MODEL = "tagger-en"
ROUND_SECONDS = 5.0
ROUNDS_BEFORE = 4
SHARE = 0.7  # of saturation
CONNECTIONS = 256


def main() -> int:
    """Prints the figures; returns 1 where one is missed."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.swaps", description="Rolls out versions under load.")
    parser.add_argument("--swaps", type=int, default=20, help="rollouts in all")
    parser.add_argument("--loaded", type=int, default=3, help="of these, rollouts under load")
    parser.add_argument("--seconds", type=float, default=ROUND_SECONDS, help="length of a round")
    options = parser.parse_args()
    with own_store() as (store, version), running(start_service) as service:
        print(f"The load: /tag, {described()}; default requests.")
        figures = latencies(service, store, version, options.loaded, options.seconds)
        if options.swaps > options.loaded + 1:
            figures.append(growth(service, store, version, options.loaded, options.swaps))
    print(*figures, sep="\n")
    return int(not all(each.met for each in figures))


@contextmanager
def own_store() -> Iterator[tuple[Path, int]]:
    """Yields a copy of the model store, which the service takes, and the newest version of the tagger there."""
    settings = load_settings()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        for version in served(settings)[0]:
            shutil.copytree(version.folder, store / version.key.name / version.key.version)
        os.environ["TAGWERK_MODEL_STORE"] = folder
        yield store, max(int(path.name) for path in (store / MODEL).iterdir())


def add_version(store: Path, number: int) -> None:
    """Adds a version with the weights of the one before it and other length buckets: longer ones, then those again."""
    scratch = shutil.copytree(store / MODEL / str(number - 1), store / MODEL / f".{number}")
    manifest = json.loads((scratch / "manifest.json").read_text())
    longer = 1 if number % 2 else -1
    buckets = [bucket + longer for bucket in manifest["length_buckets"]]
    (scratch / "manifest.json").write_text(json.dumps(manifest | {"version": str(number), "length_buckets": buckets}))
    scratch.rename(store / MODEL / str(number))


def wait_until_it_serves(service: Service, number: int, count: int) -> float:
    """Waits until `count` processes serve a version and the old processes are gone; returns the seconds."""
    began = time.monotonic()
    while share(service, number) != 1.0 or not service.all_ready(count):
        if service.process.poll() is not None:
            raise RuntimeError("the service has ended")
        time.sleep(0.2)
    return time.monotonic() - began


def share(service: Server, number: int) -> float:
    """Returns the share of requests of a version of the tagger; 0 while it is not there."""
    with urllib.request.urlopen(f"http://{service.address}/models", timeout=30) as response:
        models = json.load(response)["models"]
    return sum(float(m["share"]) for m in models if (m["name"], m["version"]) == (MODEL, str(number)))


def latencies(service: Service, store: Path, version: int, rollouts: int, seconds: float) -> list[Figure]:
    """Returns how the p99 during some rollouts is to that before each, in rounds, and how long they take."""
    usual, during, took = [], [], []
    count = len(server_processes(service.process.pid))
    for number in range(1, rollouts + 1):
        target = f"{service.address}/tag"
        rate = SHARE * load(target, SATURATION, seconds).requests_per_second
        say(f"rollout {number}: {figure(rate)} requests a second, before it")
        round_(service, rate, seconds)  # does not count: what the closed loop left goes
        usual.append(median(round_(service, rate, seconds).p99_ms for _ in range(ROUNDS_BEFORE)))
        say("during")
        with ThreadPoolExecutor(1) as waiting:
            add_version(store, version + number)
            rollout = waiting.submit(wait_until_it_serves, service, version + number, count)
            while not rollout.done():
                during.append(round_(service, rate, seconds).p99_ms / usual[-1])
            took.append(rollout.result())
    load_ = f"at {SHARE:.0%} of saturation"
    details = f"p99 {figure(median(usual))} ms before; {len(during)} rounds of {seconds:g} s, no request failed"
    what = f"p99 of /tag during a rollout {load_}, over that before"
    return [
        Figure(f"{what}, median", median(during), ROLLOUT_P99, details),
        Figure(f"{what}, worst", max(during), ROLLOUT_WORST_P99, details),
        Figure(f"a rollout {load_}", max(took), ROLLOUT_SECONDS, f"the longest of {rollouts}"),
    ]


def round_(service: Server, rate: float, seconds: float) -> Measurement:
    """Runs a round. Raises RuntimeError where a request failed."""
    measured = load(f"{service.address}/tag", CONNECTIONS, seconds, "--rate", str(rate))
    if measured.errors:
        raise RuntimeError(f"{measured.errors} requests failed")
    say(f"p50 {figure(measured.p50_ms)} ms, p99 {figure(measured.p99_ms)} ms")
    return measured


def growth(service: Service, store: Path, first: int, made: int, swaps: int) -> Figure:
    """Returns by how much memory after all rollouts is more than after the first of these; some were made before."""
    read = []
    count = len(server_processes(service.process.pid))
    for number in range(made + 1, swaps + 1):
        add_version(store, first + number)
        wait_until_it_serves(service, first + number, count)
        load(f"{service.address}/tag", 8, 1.0)
        read.append(memory_of(processes(service.process.pid)).megabytes)
        say(f"after {number} rollouts: {figure(read[-1])} MB")
    grown = 100 * (read[-1] / read[0] - 1)
    details = f"{figure(read[0])} MB, then {figure(read[-1])} MB"
    return Figure(f"memory after {swaps} rollouts, beyond that after {made + 1}", grown, ROLLOUTS_GROWTH, details)


if __name__ == "__main__":
    raise SystemExit(main())

"""What a change of versions costs those who ask meanwhile, and whether memory grows with the changes.

    python -m loadtests.swaps --swaps 20

The service runs on a copy of the model store, in which new versions of the tagger appear. Their weights are the same;
the length buckets of each are one more or less than those before, so the first change compiles all shapes anew.
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

from loadtests.client import Measurement
from loadtests.figures.base import Figure
from loadtests.figures.memory import memory, name_of, processes
from loadtests.rounds import figure, load, say
from loadtests.servers import Server, running, start_service
from service.registry import newest
from service.settings import load_settings

MODEL = "tagger-en"
MEGABYTE = 1e6
ROUND_SECONDS = 5.0
ROUNDS_BEFORE = 4


def main() -> int:
    """Prints the figures; returns 1 where one is missed."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.swaps", description="Changes versions under load.")
    parser.add_argument("--swaps", type=int, default=20, help="changes in all")
    parser.add_argument("--clients", type=int, default=16, help="connections, each with one request at a time")
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second, at random moments")
    options = parser.parse_args()
    with own_store() as (store, version), running(start_service) as service:
        figures = latencies(service, store, version, options.clients, options.rate)
        figures += growth(service, store, version + 1, options.swaps)
    for each in figures:
        print(each)
    return int(any(each.value > each.most for each in figures))


@contextmanager
def own_store() -> Iterator[tuple[Path, int]]:
    """Yields a copy of the model store, which the service takes, and the newest version of the tagger there."""
    settings = load_settings()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        for version in newest(settings.model_store):
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


def wait_until_it_serves(service: Server, number: int) -> None:
    """Returns when a version serves and the engine of the one before it is gone."""
    while share(service, number) != 1.0 or sum(name_of(pid) == "engine" for pid in processes(service.process.pid)) > 1:
        if service.process.poll() is not None:
            raise RuntimeError("the service has ended")
        time.sleep(0.2)


def share(service: Server, number: int) -> float:
    """Returns the share of requests of a version of the tagger; 0 while it is not there."""
    with urllib.request.urlopen(f"http://{service.address}/models", timeout=30) as response:
        models = json.load(response)["models"]
    return sum(m["share"] for m in models if (m["name"], m["version"]) == (MODEL, str(number)))


def latencies(service: Server, store: Path, version: int, clients: int, rate: float) -> list[Figure]:
    """Returns how the p99 of rounds during a change is to those of rounds before it."""

    def round_() -> Measurement:
        measured = load(f"{service.address}/tag", clients, ROUND_SECONDS, "--rate", str(rate))
        if measured.errors:
            raise RuntimeError(f"{measured.errors} requests failed")
        say(f"p50 {figure(measured.p50_ms)} ms, p99 {figure(measured.p99_ms)} ms")
        return measured

    round_()  # does not count
    say("before")
    before = [round_() for _ in range(ROUNDS_BEFORE)]
    say("during")
    during, began = [], time.monotonic()
    with ThreadPoolExecutor(1) as waiting:
        add_version(store, version + 1)
        change = waiting.submit(wait_until_it_serves, service, version + 1)
        while not change.done():
            during.append(round_())
        change.result()
    seconds = time.monotonic() - began
    usual, meanwhile = median(m.p99_ms for m in before), median(m.p99_ms for m in during)
    worst = max(m.p99_ms for m in during)
    details = f"p99 {figure(usual)} ms before, {figure(meanwhile)} ms during, {figure(worst)} ms in the worst round"
    what = f"p99 during a change that compiles all shapes, {seconds:.0f} s, over that before, no request failed"
    return [Figure(what, meanwhile / usual, 3, "times", details)]


def growth(service: Server, store: Path, version: int, swaps: int) -> list[Figure]:
    """Returns by how much the memory after all changes is more than after the second; one was made before."""
    read = []
    for number in range(2, swaps + 1):
        version += 1
        add_version(store, version)
        wait_until_it_serves(service, version)
        load(f"{service.address}/tag", 8, 1.0)
        total = sum(each.files + each.others for each in map(memory, processes(service.process.pid))) / MEGABYTE
        read.append(total)
        say(f"after {number} changes: {figure(total)} MB")
    grown = 100 * (read[-1] / read[0] - 1)
    details = f"{figure(read[0])} MB, then {figure(read[-1])} MB"
    return [Figure(f"memory after {swaps} changes beyond that after 2", grown, 5, "%", details)]


if __name__ == "__main__":
    raise SystemExit(main())

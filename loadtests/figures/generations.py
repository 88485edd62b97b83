"""Measures the p99 of the other endpoints while texts are generated."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from loadtests.aims import GENERATIONS as AIM
from loadtests.aims import Figure
from loadtests.figures.base import Plan, answered, growth_of_p99
from loadtests.metrics import total
from loadtests.rounds import SPARE_SECONDS, command, figure, say
from loadtests.servers import Server

GENERATIONS = 8
CLIENTS = 16


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the p99 of /tag and of /classify beside endless generations, over their p99 without."""
    figures = []
    for endpoint in ("tag", "classify"):
        without, beside = [], []
        for number in range(1, plan.rounds + 1):
            without.append(answered(f"{service.address}/{endpoint}", CLIENTS, plan.seconds))
            with generations(service, plan.seconds):
                beside.append(answered(f"{service.address}/{endpoint}", CLIENTS, plan.seconds))
            shown = f"{figure(without[-1].p99_ms)} ms, {figure(beside[-1].p99_ms)} ms beside generations"
            say(f"/{endpoint}, round {number}: p99 {shown}")
        value, details = growth_of_p99(without, beside)
        what = f"p99 of /{endpoint} with {GENERATIONS} endless generations running, over p99 without"
        figures.append(Figure(what, value, AIM, details))
    return figures


@contextmanager
def generations(service: Server, seconds: float) -> Iterator[None]:
    """Keeps that many generations running throughout the block, which takes about so long."""
    client = command(f"{service.address}/endless", GENERATIONS, seconds + 3)
    with subprocess.Popen(client, stdout=subprocess.PIPE) as process:
        try:
            until = time.monotonic() + SPARE_SECONDS
            while total(service.address, "tagwerk_slots_in_use") < GENERATIONS:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("the generations do not run")
                time.sleep(0.1)
            yield
            output, _ = process.communicate(timeout=SPARE_SECONDS)
        finally:
            process.kill()
    if errors := json.loads(output)["errors"]:
        raise RuntimeError(f"{errors} generations failed")

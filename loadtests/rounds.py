"""Runs rounds of load, each in a process of its own."""

import json
import subprocess
import sys

from loadtests.client import Measurement

SPARE_SECONDS = 120.0  # for the last answers of a round


def command(target: str, clients: int, seconds: float, *options: str) -> list[str]:
    """Returns the command of a round."""
    program = [sys.executable, "-m", "loadtests.client", target]
    return [*program, "--clients", str(clients), "--seconds", str(seconds), *options]


def load(target: str, clients: int, seconds: float, *options: str) -> Measurement:
    """Runs a round."""
    round_ = command(target, clients, seconds, *options)
    done = subprocess.run(round_, stdout=subprocess.PIPE, check=True, timeout=seconds + SPARE_SECONDS)
    return Measurement(**json.loads(done.stdout))


def say(line: str) -> None:
    """Logs progress."""
    print(line, file=sys.stderr, flush=True)


def figure(value: float) -> str:
    """Returns a number in three digits, or as many as it has before the point."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"

"""Measures the time of `tagwerk annotate` for a token, as a multiple of the bare step's."""

import os
import subprocess
import sys
from statistics import median

from loadtests.aims import ANNOTATION, Figure
from loadtests.figures.base import Plan
from loadtests.rounds import figure, say
from loadtests.servers import Server


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the time that a token takes, in times of what it takes in the bare step on full batches.

    Both run in one process, in turn; the service has nothing to do with it, and nothing to do meanwhile.
    """
    ratios, whole, bare = [], [], []
    program = [sys.executable, "-m", "loadtests.figures.annotation_rates"]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=quiet, text=True) as process:
        assert process.stdin is not None  # noqa: S101 (both are pipes)
        assert process.stdout is not None  # noqa: S101
        if not process.stdout.readline():
            raise RuntimeError("the annotation does not run")
        for number in range(1, plan.rounds + 1):
            print(plan.seconds, file=process.stdin, flush=True)
            rates = process.stdout.readline().split()
            whole.append(float(rates[0]))
            bare.append(float(rates[1]))
            ratios.append(bare[-1] / whole[-1])
            say(f"round {number}: {figure(whole[-1])} tokens/s, bare step {figure(bare[-1])} tokens/s")
        process.stdin.close()
    span = f"{figure(min(ratios))} to {figure(max(ratios))}"
    details = f"{span}; {figure(median(whole))} tokens/s, bare step {figure(median(bare))} tokens/s"
    return [Figure("time of tagwerk annotate for a token, over the bare step's", median(ratios), ANNOTATION, details)]

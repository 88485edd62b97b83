"""Measures what the service adds to the time of the model's step, for a single client."""

import os
import random
import subprocess
import sys
from statistics import median

from loadtests.aims import ONE_CLIENT, Figure
from loadtests.figures.base import SATURATION, Plan, answered
from loadtests.rounds import figure, say
from loadtests.servers import Server


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the p50 of /tag at one client less the p50 of the bare step, on the same sentences."""
    whole, bare = [], []
    program = [sys.executable, "-m", "loadtests.figures.bare_step"]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=quiet, text=True) as process:
        assert process.stdin is not None  # noqa: S101 (both are pipes)
        assert process.stdout is not None  # noqa: S101
        if not process.stdout.readline():
            raise RuntimeError("the bare step does not run")
        # All processes meet the words that occur again and again, as the bare step does in its first round.
        answered(f"{service.address}/tag", SATURATION, plan.seconds)
        for number in range(plan.rounds + 1):
            seed = random.randrange(2**32)  # both read the same text, whose new words are new to both
            whole.append(answered(f"{service.address}/tag", 1, plan.seconds, "--seed", str(seed)).p50_ms)
            print(plan.seconds, seed, file=process.stdin, flush=True)
            bare.append(float(process.stdout.readline()))
            say(f"round {number}: p50 {figure(whole[-1])} ms, bare step {figure(bare[-1])} ms")
        process.stdin.close()
    added = [w - b for w, b in zip(whole, bare, strict=True)][1:]  # the first round fills what words are kept in
    span = f"{figure(min(added))} to {figure(max(added))} ms"
    details = f"{span}; p50 {figure(median(whole[1:]))} ms, bare step {figure(median(bare[1:]))} ms"
    return [Figure("p50 of /tag at one client, less the bare step", median(added), ONE_CLIENT, details)]

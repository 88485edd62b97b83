"""What the way through the service adds to the model's step for a client that is alone."""

import os
import subprocess
import sys
from statistics import median

from loadtests.figures.base import Figure, Plan, answered
from loadtests.rounds import figure, say
from loadtests.servers import Server


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the p50 of /tag at one client less that of the bare step, on the same sentences."""
    whole, bare = [], []
    program = [sys.executable, "-m", "loadtests.figures.bare_step"]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=quiet, text=True) as process:
        assert process.stdin is not None  # noqa: S101 (both are pipes)
        assert process.stdout is not None  # noqa: S101
        if not process.stdout.readline():
            raise RuntimeError("the bare step does not run")
        for number in range(1, plan.rounds + 1):
            whole.append(answered(f"{service.address}/tag", 1, plan.seconds).p50_ms)
            print(plan.seconds, file=process.stdin, flush=True)
            bare.append(float(process.stdout.readline()))
            say(f"round {number}: p50 {figure(whole[-1])} ms, bare step {figure(bare[-1])} ms")
        process.stdin.close()
    value = median(w - b for w, b in zip(whole, bare, strict=True))
    details = f"p50 {figure(median(whole))} ms, bare step {figure(median(bare))} ms"
    return [Figure("p50 of /tag at one client, less the bare step", value, 1.0, "ms", details)]

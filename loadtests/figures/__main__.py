"""Measures the figures of a running service, and prints each beside its aim (`loadtests/aims.py`).

    python -m loadtests.figures                  all of them
    python -m loadtests.figures padding memory   some
    python -m loadtests.figures ramp             a load that rises through saturation, with a report
    python -m loadtests.figures soak             half an hour of the same, with a report

Progress goes to stderr. The exit status is 1 where a figure misses its bound, or a request failed.
"""

import argparse
import sys
import time
from pathlib import Path

from loadtests.aims import COMPILATIONS as AIM
from loadtests.aims import Figure
from loadtests.figures import (
    annotation,
    bulk,
    generations,
    long_sentences,
    memory,
    one_client,
    open_loop,
    padding,
    ramp,
    same_bytes,
    soak,
    starts,
)
from loadtests.figures.base import Plan
from loadtests.figures.starts import COMPILATIONS
from loadtests.metrics import counted
from loadtests.rounds import say
from loadtests.servers import Service, running, start_service, start_service_apart
from loadtests.text import described

FIGURES = {
    "starts": starts,
    "one-client": one_client,
    "open-loop": open_loop,
    "padding": padding,
    "long-sentences": long_sentences,
    "generations": generations,
    "same-bytes": same_bytes,
    "annotation": annotation,
    "bulk": bulk,
    "memory": memory,
}
REPORTED = {"ramp": ramp, "soak": soak}  # not among all: they take long, and have the machine to themselves


def main() -> int:
    """Runs the measurements; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.figures", description="The service's figures.")
    parser.add_argument(
        "figures", nargs="*", help=f"{', '.join(FIGURES)}; by default all; ramp; soak", metavar="FIGURE"
    )
    parser.add_argument("--rounds", type=int, default=4, help="rounds of each load")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round")
    parser.add_argument("--requests", type=int, default=120_000, help="how many, for the memory")
    parser.add_argument("--words", type=int, default=1_000_000, help="how many, to annotate")
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the soak")
    options = parser.parse_args()
    modules = FIGURES | REPORTED
    if unknown := set(options.figures).difference(modules):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; there is {', '.join(modules)}")
    plan = Plan(options.rounds, options.seconds, options.requests, options.words, options.minutes)

    def start(folder: Path) -> Service:
        return start_service_apart(folder, **ramp.SETTINGS) if "ramp" in options.figures else start_service(folder)

    found: list[Figure] = []
    try:
        say("starting the service, which compiles its steps first")
        with running(start) as service:
            print(f"The load: {described()}; default requests. {plan.rounds} rounds of {plan.seconds:g} s, medians.")
            with counted(service.address, COMPILATIONS) as grown:
                for name in options.figures or FIGURES:
                    began = time.monotonic()
                    figures = modules[name].measure(service, plan)
                    print(*figures, sep="\n", flush=True)
                    found += figures
                    say(f"{name}: {time.monotonic() - began:.0f} s")
            found.append(Figure("compilations after ready", grown[COMPILATIONS], AIM, "during all of this"))
            print(found[-1])
    except (RuntimeError, ValueError) as error:
        say(f"figures: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    missed = [each.what for each in found if not each.met]
    say(f"{len(missed)} of {len(found)} figures missed" + "".join(f"\n  {what}" for what in missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

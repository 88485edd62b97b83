"""Measures the figures of a running service, and prints each with the most that it may be.

    python -m loadtests.figures                  all of them
    python -m loadtests.figures padding memory   some
    python -m loadtests.figures ramp             a load that rises through saturation, with a report
    python -m loadtests.figures soak             half an hour of the same, with a report

Progress goes to stderr. The exit status is 1 where a request failed, and where ramp or soak miss a figure.
"""

import argparse
import sys
from functools import partial

from loadtests.figures import (
    annotation,
    generations,
    long_sentences,
    memory,
    one_client,
    open_loop,
    padding,
    ramp,
    soak,
)
from loadtests.figures.base import Figure, Plan, counted
from loadtests.rounds import say
from loadtests.servers import running, start_service, start_service_apart

FIGURES = {
    "one-client": one_client,
    "open-loop": open_loop,
    "padding": padding,
    "long-sentences": long_sentences,
    "generations": generations,
    "memory": memory,
    "annotation": annotation,
}
REPORTED = {"ramp": ramp, "soak": soak}  # not among all: they take long, and have the machine to themselves
COMPILATIONS = "tagwerk_compilations_total"


def main() -> int:
    """Runs the measurements; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.figures", description="The service's figures.")
    parser.add_argument(
        "figures", nargs="*", help=f"{', '.join(FIGURES)}; by default all; ramp; soak", metavar="FIGURE"
    )
    parser.add_argument("--rounds", type=int, default=4, help="rounds of each load")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a round")
    parser.add_argument("--requests", type=int, default=200_000, help="how many, for the memory")
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the soak")
    options = parser.parse_args()
    modules = FIGURES | REPORTED
    if unknown := set(options.figures).difference(modules):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; there is {', '.join(modules)}")
    plan = Plan(options.rounds, options.seconds, options.requests, options.minutes)
    missed = False
    start = partial(start_service_apart, **ramp.SETTINGS) if "ramp" in options.figures else start_service
    try:
        say("starting the service, which compiles for a minute or two")
        with running(start) as service:
            with counted(service, COMPILATIONS) as grown:
                for name in options.figures or FIGURES:
                    say(name)
                    figures = modules[name].measure(service, plan)
                    print(*figures, sep="\n", flush=True)
                    missed |= name in REPORTED and not all(f.met for f in figures)
            print(Figure("compilations after ready", grown[COMPILATIONS], 0, "executables", "during all of this"))
    except (RuntimeError, ValueError) as error:
        say(f"figures: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

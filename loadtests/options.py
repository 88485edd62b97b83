"""Compares the service with other settings with the service as it is, under the same load, in turn.

    python -m loadtests.options TAGWERK_BATCH_SIZES=1,4,16
    python -m loadtests.options TAGWERK_SLOTS=4 --traffic generate --clients 16

Both read the settings of the environment. The processor time of a request is that of all processes; a core does
a thousand milliseconds a second.
"""

import argparse
from contextlib import ExitStack
from functools import partial
from statistics import median

from loadtests.processes import memory_of, processes
from loadtests.processor import Round, processor_seconds
from loadtests.rounds import figure, load, say
from loadtests.servers import Service, running, start_service
from loadtests.traffic import KINDS

HEADS = ("", "requests/s", "p50 ms", "p99 ms", "refused", "CPU ms", "ready after s", "MB")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.options", description="Compares settings under load.")
    parser.add_argument("settings", nargs="+", help="TAGWERK_...=value, of the one; the other has none of them")
    parser.add_argument("--traffic", choices=KINDS, default="tag", help="kind of the requests")
    parser.add_argument("--clients", type=int, default=64, help="connections, each with one request at a time")
    parser.add_argument("--rate", type=float, help="requests a second, at random moments; without it, a closed loop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a round")
    options = parser.parse_args()
    settings = dict(setting.split("=", 1) for setting in options.settings)
    with ExitStack() as stack:
        services = {}
        for name, own in (("as it is", {}), (" ".join(options.settings), settings)):
            services[name] = stack.enter_context(running(partial(start_service, **own)))
            say(f"{name}: ready after {services[name].ready_after:.1f} s")
        rate = ("--rate", str(options.rate)) if options.rate else ()
        rounds: dict[str, list[Round]] = {name: [] for name in services}
        for number in range(options.rounds + 1):  # the first does not count
            for name, service in services.items():
                before = processor_seconds(service)
                measured = load(f"{service.address}/{options.traffic}", options.clients, options.seconds, *rate)
                if number:
                    rounds[name].append(Round(measured, options.seconds, processor_seconds(service) - before))
                say(f"{name}: {figure(measured.requests_per_second)}/s, p99 {figure(measured.p99_ms)} ms")
        print(f"| {' | '.join(HEADS)} |", f"|{' --- |' * len(HEADS)}", sep="\n")
        for name, service in services.items():
            print(f"| {' | '.join([name, *cells(rounds[name], service)])} |")


def cells(rounds: list[Round], service: Service) -> list[str]:
    """Returns the row of a service: medians over the rounds, the time of its start, and its memory."""
    seen = ("requests_per_second", "p50_ms", "p99_ms")
    middle = [median(getattr(one.seen, what) for one in rounds) for what in seen]
    spent = median(one.cpu_milliseconds for one in rounds)
    megabytes = memory_of(processes(service.process.pid)).megabytes
    refused = sum(one.seen.refused for one in rounds)
    return [*map(figure, middle), str(refused), *map(figure, (spent, service.ready_after, megabytes))]


if __name__ == "__main__":
    main()

"""Requests per second and latency of this service and of others, on the same models.

    python -m loadtests.bench --peers plain mosec --endpoints tag

The service and one of the others run at a time, and are loaded in turn, round by round, so that both see the same
machine. Each of the others first shows with how many processes it serves most, and has so many then. The table says
medians over the rounds, and how many times as many requests the service answered in each round as the other in the
round beside it. Progress goes to stderr. The exit status is 1 where a figure misses its bound (`loadtests/aims.py`) or
a request failed.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median

from loadtests.agreement import check_agreement
from loadtests.comparison import SERVICE, Row, compare, name_of, processor_figures, rate_of, table
from loadtests.figures.base import SATURATION
from loadtests.peer_servers import PEERS
from loadtests.peers.texts import version_for
from loadtests.rounds import figure, say
from loadtests.servers import Server, running, start_service
from loadtests.text import described

ENDPOINTS = ("tag", "classify", "generate")
CALIBRATION_SECONDS = 2.0


def best_processes(name: str, endpoint: str, candidates: Sequence[int]) -> int:
    """Returns with how many processes a peer serves most at saturation."""
    if len(candidates) == 1:
        return candidates[0]
    peer, rates = PEERS[name], {}
    for processes in candidates:
        with running(partial(peer.start, endpoint, processes, False)) as other:
            targets = [f"{other.address}/{path}{endpoint}" for path in peer.kinds.values()]
            rates[processes] = max(rate_of(target, SATURATION, CALIBRATION_SECONDS) for target in targets)
        say(f"{name}, /{endpoint}, processes: {processes}: {figure(rates[processes])}/s")
    return max(rates, key=lambda processes: rates[processes])


def compared_with(service: Server, name: str, options: argparse.Namespace) -> Iterator[Row]:
    """Yields what is measured beside one peer: each endpoint that it has, without and with a memory of words.

    Beside peers with one, requests without lemmas are measured, too: these peers do the same work then.
    """
    peer = PEERS[name]
    processes = 0
    for endpoint in options.endpoints:
        if endpoint not in peer.endpoints:
            continue
        processes = processes or best_processes(name, endpoint, options.processes)
        for words in (False, True) if endpoint in peer.word_memory else (False,):
            memory = ", with a memory of words" if words else ""
            say(f"starting {name} for /{endpoint}, processes: {processes}{memory}")
            with running(partial(peer.start, endpoint, processes, words)) as other:
                if peer.accuracy is None:
                    others = [f"http://{other.address}/{path}{endpoint}" for path in peer.kinds.values()]
                    agreed = check_agreement(endpoint, f"http://{service.address}/{endpoint}", others)
                    say(f"it answers {agreed} requests like the service")
                for traffic in ("tag", "no-lemmas") if words else (endpoint,):
                    targets = {SERVICE: f"{service.address}/{traffic}"}
                    targets |= {kind: f"{other.address}/{path}{traffic}" for kind, path in peer.kinds.items()}
                    for clients in options.clients:
                        own, kinds, errors = compare(service, targets, clients, options.rounds, options.seconds)
                        rates = {kind: median(m.requests_per_second for m in side) for kind, side in kinds.items()}
                        kind = max(rates, key=lambda each: rates[each])
                        yield Row(traffic, clients, name, kind, processes, words, own, kinds[kind], errors)


def accuracies(rows: Sequence[Row]) -> Iterator[str]:
    """Yields a line for each row of a peer with another model: its rate and the service's, with their accuracies."""
    for row in rows:
        if (accuracy := PEERS[row.peer].accuracy) is not None:
            theirs = figure(median(seen.requests_per_second for seen in row.other))
            ours = figure(median(one.seen.requests_per_second for one in row.service))
            both = f"{row.peer} {theirs}/s ({accuracy()}), {SERVICE} {ours}/s ({own_accuracy()})"
            yield f"{name_of(row.traffic)}, {row.clients} clients, accuracies on EWT's test part: {both}."


def own_accuracy() -> str:
    """Returns the accuracies of the service's tagger on gold tokens by its manifest."""
    test = {metric.name: metric.value for metric in version_for("tag").manifest.metrics if metric.split == "test"}
    return f"UPOS {test['UPOS']:.2f} %, lemmas {test['Lemmas']:.2f} %"


def main() -> int:
    """Runs the comparison; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description="This service and others.")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=("plain",), help="what to measure beside")
    parser.add_argument("--endpoints", nargs="+", choices=ENDPOINTS, default=ENDPOINTS)
    parser.add_argument("--clients", nargs="+", type=int, default=(SATURATION,))
    parser.add_argument("--processes", nargs="+", type=int, default=(1, 2), help="how many the others may have")
    parser.add_argument("--rounds", type=int, default=4, help="rounds of each server at each number of clients")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round")
    options = parser.parse_args()
    rows: list[Row] = []
    failed = False
    try:
        say("starting the service, which compiles its steps first")
        with running(start_service) as service:
            for name in options.peers:
                try:
                    rows.extend(compared_with(service, name, options))
                except (RuntimeError, ValueError) as error:  # the others are measured nevertheless
                    failed = True
                    say(f"bench: {error}")
    except RuntimeError as error:
        say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    errors = sum(row.errors for row in rows)
    figures = [*(each for row in rows for each in row.figures()), *processor_figures(rows)]
    print(f"The load: {described()}; closed loop; default requests, to which the service gives lemmas and others none.")
    print(f"Medians of {options.rounds} rounds of {options.seconds:g} s each. Requests that failed: {errors}.\n")
    print(table(rows), "", *accuracies(rows), *figures, sep="\n")
    return 1 if failed or errors or not all(each.met for each in figures) else 0


if __name__ == "__main__":
    sys.exit(main())

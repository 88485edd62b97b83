"""Measures how much memory the service has after traffic of all kinds, and whether it grows."""

from loadtests.aims import LOADED_MEMORY, MEMORY_GROWTH, Figure
from loadtests.figures.base import Plan, answered
from loadtests.processes import Memory, memory, memory_of, name_of, processes
from loadtests.rounds import say
from loadtests.servers import Server

CLIENTS = 16
# Part of the requests that come before memory is read for the first time: by then the taggers' tables of words are
# full, whose memory the system allocates as rows are used.
FIRST = 0.5
DAY = 86_400.0


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the memory of all processes after all requests, and by how much it is more than after half of them.

    For its growth, the files that are mapped count as at first: the kernel drops their pages and reads them again at
    any time.
    """
    first = round(FIRST * plan.requests)
    read: list[Memory] = []
    for requests in (first, plan.requests - first):
        answered(f"{service.address}/mixed", CLIENTS, DAY, "--requests", str(requests))
        pids = processes(service.process.pid)
        read.append(memory_of(pids))
        shown = ", ".join(f"{name_of(pid)} {memory(pid)}" for pid in pids)
        say(f"after {requests} requests: {shown}")
    before, after = read
    grown = 100 * (after.others - before.others) / (before.files + before.others)
    what = f"memory after {plan.requests} requests of mixed kinds"
    return [
        Figure(what, after.megabytes, LOADED_MEMORY, f"{len(pids)} processes"),
        Figure(f"{what}, beyond that after {first}", grown, MEMORY_GROWTH, f"{before}; {after}"),
    ]

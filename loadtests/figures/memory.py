"""Measures whether memory grows with traffic."""

from dataclasses import dataclass
from pathlib import Path

from loadtests.aims import MEMORY_GROWTH, Figure
from loadtests.figures.base import Plan, answered
from loadtests.rounds import say
from loadtests.servers import Server

CLIENTS = 16
# Part of the requests that come before memory is read for the first time: by then the tagger's table of words is full,
# whose memory the system allocates as rows are used.
FIRST = 0.5
DAY = 86_400.0
MEGABYTE = 1e6


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns by how much the memory of all processes is more after all requests than after half of them.

    The files that are mapped count as at first: the kernel drops their pages and reads them again at any time.
    """
    first = round(FIRST * plan.requests)
    read: list[Memory] = []
    for requests in (first, plan.requests - first):
        answered(f"{service.address}/mixed", CLIENTS, DAY, "--requests", str(requests))
        shares = {process: memory(process) for process in processes(service.process.pid)}
        read.append(Memory(sum(m.files for m in shares.values()), sum(m.others for m in shares.values())))
        shown = ", ".join(f"{name_of(process)} {share}" for process, share in shares.items())
        say(f"after {requests} requests: {shown}")
    before, after = read
    grown = 100 * (after.others - before.others) / (before.files + before.others)
    what = f"memory after {plan.requests} requests of mixed kinds, beyond that after {first}"
    return [Figure(what, grown, MEMORY_GROWTH, f"{before}; {after}")]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in memory: of files that are mapped, and others."""

    files: int
    others: int

    def __str__(self) -> str:
        return f"{self.others / MEGABYTE:.1f} MB and {self.files / MEGABYTE:.1f} MB of files"


def memory(pid: int) -> Memory:
    """Returns the memory of a process, its part of what it shares; none of one that has ended."""
    lines = _read(pid, "smaps_rollup").splitlines()
    sizes = {name: 1024 * int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
    files = sizes.get("Pss_File", 0)
    return Memory(files=files, others=sizes.get("Pss", 0) - files)


def processes(pid: int) -> list[int]:
    """Returns a process and all that descend from it."""
    children = _read(pid, f"task/{pid}/children").split()
    return [pid, *(each for child in children for each in processes(int(child)))]


def name_of(pid: int) -> str:
    """Returns what a process of the service is: `serve`, `api`, `engine`, `standby`; nothing of one that has ended."""
    words = _read(pid, "cmdline").split("\0")
    if "--standby" in words and name_of_thread(pid) != "tagwerk-engine":
        return "standby"
    return words[words.index("service") + 1] if "service" in words else words[0]


def name_of_thread(pid: int) -> str:
    """Returns the name that a process has given to its first thread."""
    return _read(pid, "comm").strip()


def _read(pid: int, name: str) -> str:
    """Returns a file of /proc about a process, nothing where it has ended since it was listed."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""

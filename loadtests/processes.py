"""The processes of a running service: which there are, what each is, its memory and its connections.

Most is read from /proc, since while something is measured this is asked often: `psutil` looks at all processes of the
system for those that descend from one, which takes a hundred times as long.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SUPERVISOR, FORK_SERVER, SERVER = "supervisor", "fork server", "server"
COMMANDS = {"serve": SUPERVISOR, "fork-server": FORK_SERVER, "tagwerk-fork": FORK_SERVER}
SERVER_NAME = re.compile(r"tagwerk-\d+\n")  # that a server process gives itself
MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in memory: of files that are mapped, and others."""

    files: int
    others: int

    def __str__(self) -> str:
        return f"{self.others / MEGABYTE:.1f} MB and {self.files / MEGABYTE:.1f} MB of files"

    @property
    def megabytes(self) -> float:
        """All of it."""
        return (self.files + self.others) / MEGABYTE


def memory(pid: int) -> Memory:
    """Returns the memory of a process, its part of what it shares; none of one that has ended."""
    lines = _read(pid, "smaps_rollup").splitlines()
    sizes = {name: 1024 * int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
    files = sizes.get("Pss_File", 0)
    return Memory(files=files, others=sizes.get("Pss", 0) - files)


def memory_of(pids: Iterable[int]) -> Memory:
    """Returns the memory of some processes together."""
    each = list(map(memory, pids))
    return Memory(sum(one.files for one in each), sum(one.others for one in each))


def processes(pid: int) -> list[int]:
    """Returns a process and all that descend from it."""
    children = [child for thread in _threads(pid) for child in _read(pid, f"task/{thread}/children").split()]
    return [pid, *(each for child in children for each in processes(int(child)))]


def server_processes(pid: int) -> list[int]:
    """Returns the server processes of the service whose supervisor that is."""
    return [each for each in processes(pid) if name_of(each) == SERVER]


def name_of(pid: int) -> str:
    """Returns what a process of the service is; of another, its program, and nothing of one that has ended."""
    if SERVER_NAME.fullmatch(_read(pid, "comm")):
        return SERVER
    words = _read(pid, "cmdline").split("\0")
    command = words[words.index("service") + 1] if "service" in words[:-1] else words[0]
    return COMMANDS.get(command, command)


def owners(pids: Iterable[int], port: int) -> dict[int, int]:
    """Returns the process that has each connection to a port of its service, by the client's port."""
    found = {}
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            for connection in psutil.Process(pid).net_connections("tcp4"):
                if connection.laddr.port == port and connection.status == psutil.CONN_ESTABLISHED:
                    found[connection.raddr.port] = pid
    return found


def _threads(pid: int) -> list[str]:
    """Returns the threads of a process; each thread has its own list of child processes."""
    try:
        return [task.name for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _read(pid: int, name: str) -> str:
    """Returns a file of /proc about a process, nothing where it has ended since it was listed."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""

"""The processes of a running service, and which of them serves which connection."""

from collections import Counter
from pathlib import Path

from loadtests.processes import server_processes
from tests.conftest import Server

ESTABLISHED = "01"  # in /proc/net/tcp


def servers(server: Server) -> set[int]:
    """Returns the ids of a service's server processes, those that load and those that drain among them."""
    return set(server_processes(server.process.pid))


def only(server: Server) -> int:
    """Returns the id of the one server process."""
    (found,) = servers(server)
    return found


def owners(server: Server) -> dict[int, int]:
    """Returns the process that has each connection to a service, by the client's port."""
    port = int(server.url.rpartition(":")[2])
    clients = {}  # by the number of the server's socket
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_, number = line.split()[:10]
        if int(local.partition(":")[2], 16) == port and state == ESTABLISHED:
            clients[number] = int(remote.partition(":")[2], 16)
    found = {}
    for pid in servers(server):
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = str(descriptor.readlink())
            except OSError:
                continue
            if (client := clients.get(target.removeprefix("socket:[").removesuffix("]"))) is not None:
                found[client] = pid
    return found


def connections(server: Server) -> list[int]:
    """Returns the number of connections of each process, in ascending order."""
    counts = Counter(dict.fromkeys(servers(server), 0))
    counts.update(owners(server).values())
    return sorted(counts.values())


def environment(pid: int) -> dict[str, str]:
    """Returns the environment variables of a process."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)

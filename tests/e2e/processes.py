"""The processes of a running service, and which of them serves which connection."""

from collections import Counter

from loadtests import processes
from tests.conftest import Server


def servers(server: Server) -> set[int]:
    """Returns the ids of a service's server processes, those that load and those that drain among them."""
    return set(processes.server_processes(server.process.pid))


def only(server: Server) -> int:
    """Returns the id of the one server process."""
    (found,) = servers(server)
    return found


def owners(server: Server) -> dict[int, int]:
    """Returns the process that has each connection to a service, by the client's port."""
    return processes.owners(servers(server), int(server.url.rpartition(":")[2]))


def connections(server: Server) -> list[int]:
    """Returns the number of connections of each process, in ascending order."""
    counts = Counter(dict.fromkeys(servers(server), 0))
    counts.update(owners(server).values())
    return sorted(counts.values())

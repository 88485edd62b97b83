"""Measures the padding waste of `/tag`."""

from collections.abc import Iterator

from loadtests.aims import PADDING as AIM
from loadtests.aims import Figure
from loadtests.figures.base import SATURATION, Plan, answered
from loadtests.metrics import counted
from loadtests.servers import Server

CELLS, PADDING = "tagwerk_batch_cells_total", "tagwerk_padding_cells_total"


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the padding waste at saturation and far beyond it."""
    return list(_at(service, plan, (SATURATION, 4 * SATURATION)))


def _at(service: Server, plan: Plan, client_counts: tuple[int, ...]) -> Iterator[Figure]:
    for clients in client_counts:
        with counted(service.address, CELLS, PADDING) as grown:
            rate = answered(f"{service.address}/tag", clients, plan.rounds * plan.seconds).requests_per_second
        details = f"{grown[PADDING]:.0f} of {grown[CELLS]:.0f} cells, {rate:.0f} requests/s"
        yield Figure(f"padding waste at {clients} clients", 100 * grown[PADDING] / grown[CELLS], AIM, details)

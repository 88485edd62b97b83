"""How much of what is computed is padding."""

from loadtests.figures.base import SATURATION, Figure, Plan, answered, counted
from loadtests.servers import Server

CELLS, PADDING = "tagwerk_batch_cells_total", "tagwerk_padding_cells_total"


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the padding waste at saturation, of sentences as long as those of EWT's test part."""
    with counted(service, CELLS, PADDING) as grown:
        rate = answered(f"{service.address}/ewt", SATURATION, plan.rounds * plan.seconds).requests_per_second
    details = f"{grown[PADDING]:.0f} of {grown[CELLS]:.0f} cells, {rate:.0f} requests/s"
    return [Figure("padding waste at saturation", 100 * grown[PADDING] / grown[CELLS], 15, "%", details)]

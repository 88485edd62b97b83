"""Functions of several of the modules that measure figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.client import Measurement
from loadtests.rounds import figure, load

SATURATION = 64  # clients


@dataclass(frozen=True, slots=True)
class Plan:
    """How long everything is measured."""

    rounds: int
    seconds: float  # of a round
    requests: int  # for the memory
    words: int  # to annotate
    minutes: float  # of the soak


def answered(target: str, clients: int, seconds: float, *options: str) -> Measurement:
    """Runs a round. Raises RuntimeError where a request failed."""
    measured = load(target, clients, seconds, *options)
    if measured.errors:
        raise RuntimeError(f"{measured.errors} requests to {target} failed")
    return measured


def growth_of_p99(without: Sequence[Measurement], beside: Sequence[Measurement]) -> tuple[float, str]:
    """Returns how many times the p99 without something it is beside it, round by round, and more in words."""
    ratios = [b.p99_ms / w.p99_ms for w, b in zip(without, beside, strict=True)]
    both = (figure(median(m.p99_ms for m in side)) for side in (without, beside))
    span = f"{figure(min(ratios))} to {figure(max(ratios))}"
    return median(ratios), "{}; p99 {} ms without, {} ms with".format(span, *both)

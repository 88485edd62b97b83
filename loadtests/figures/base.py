"""Functions of several of the modules that measure figures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from loadtests.client import Measurement
from loadtests.rounds import figure, load
from loadtests.servers import Server

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


def counter(service: Server, name: str) -> float:
    """Returns the sum of a metric of the service over all its labels, 0 where it has no value yet."""
    with urlopen(f"http://{service.address}/metrics", timeout=30) as response:
        text = response.read().decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name)


@contextmanager
def counted(service: Server, *names: str) -> Iterator[dict[str, float]]:
    """Yields a dictionary which has, after the block, by how much each metric has grown in it."""
    before = {name: counter(service, name) for name in names}
    grown: dict[str, float] = {}
    yield grown
    grown |= {name: counter(service, name) - before[name] for name in names}


def growth_of_p99(without: Sequence[Measurement], beside: Sequence[Measurement]) -> tuple[float, str]:
    """Returns how many times the p99 without something it is beside it, round by round, and more in words."""
    ratios = [b.p99_ms / w.p99_ms for w, b in zip(without, beside, strict=True)]
    both = (figure(median(m.p99_ms for m in side)) for side in (without, beside))
    span = f"{figure(min(ratios))} to {figure(max(ratios))}"
    return median(ratios), "{}; p99 {} ms without, {} ms with".format(span, *both)

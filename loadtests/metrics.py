"""Reads the metrics of a running service."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

READY_PROCESSES = "tagwerk_ready_processes"


def samples(address: str) -> list[Sample]:
    """Returns all samples of a service at `address`, "127.0.0.1:8000". Raises OSError."""
    with urlopen(f"http://{address}/metrics", timeout=30) as response:
        text = response.read().decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def total(address: str, name: str) -> float:
    """Returns the sum of a metric over all its labels, 0 where it has no value yet. Raises OSError."""
    return sum(sample.value for sample in samples(address) if sample.name == name)


@contextmanager
def counted(address: str, *names: str) -> Iterator[dict[str, float]]:
    """Yields a dictionary which has, after the block, by how much each metric has grown in it."""
    before = {name: total(address, name) for name in names}
    grown: dict[str, float] = {}
    yield grown
    grown |= {name: total(address, name) - before[name] for name in names}

"""Metrics about the processes and the program: prometheus-client's `process_*`, and the versions of its packages."""

import platform
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

PROCESS_INFO = "tagwerk_process_info"


class ProcessMetrics(Collector):
    """Collects memory, processor time and file descriptors of processes, each labelled with its kind and id."""

    def __init__(self, processes: Mapping[str, str]) -> None:
        """`processes` has the kind of each process by its id. Those that have ended are omitted."""
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        """Yields each metric with a sample per process."""
        families = {PROCESS_INFO: Metric(PROCESS_INFO, "1 for each process.", "gauge")}
        for pid, kind in self._processes.items():
            families[PROCESS_INFO].add_sample(PROCESS_INFO, {"process": kind, "pid": pid}, 1)
            for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    family.add_sample(sample.name, {"process": kind, "pid": pid}, sample.value)
        yield from families.values()


@cache
def build_info() -> Mapping[str, str]:
    """Returns the versions of the service, of Python and of TensorFlow."""
    return {"version": version("tagwerk"), "python": platform.python_version(), "tensorflow": tensorflow_version()}


def tensorflow_version() -> str:
    """Returns the version of TensorFlow without importing it; "none" if it is not installed."""
    for package in ("tensorflow-cpu", "tensorflow"):
        try:
            return version(package)
        except PackageNotFoundError:
            pass
    return "none"

"""Shares metrics between the processes of a service through files: prometheus-client's multiprocess mode.

Each process writes to a record, files by kind of metric, and an exposition reads all of them. The process that takes
the place of an ended one goes on in its record, so that counts never fall and files do not grow in number.

Everything here that is not prometheus-client's public interface is in this module alone.
"""

import logging
import os
import platform
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import repeat
from pathlib import Path
from threading import Lock
from typing import Any

from prometheus_client import Histogram, Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

PROCESS_INFO = "tagwerk_process_info"
log = logging.getLogger("tagwerk")
FILE_BYTES = 65_536  # of a file, at first
_NUMBER = struct.Struct("d")
MOST_ENTRY_BYTES = 4096  # of a metric with its labels and help text
MODEL_REFUSED = "tagwerk_model_refused"  # a gauge that is exported for the versions for which it is not 0
PROCESS_ID = "tagwerk_process_id"  # a gauge of each process, by its kind; an exposition has ProcessMetrics instead


class ProcessMetrics(Collector):
    """Collects memory, processor time and file descriptors of processes, each labelled with its kind and id."""

    def __init__(self, processes: Mapping[str, str]) -> None:
        """`processes` has the kind of each process by its id. Processes that have ended are omitted."""
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


class MetricFile(MmapedDict):
    """A file of metrics, for which there is room on the disk before anything is written to it.

    Otherwise writing to the mapped file would kill the process where the disk is full (SIGBUS).
    """

    def __init__(self, filename: str) -> None:
        """Raises OSError."""
        if not Path(filename).exists():
            scratch = Path(f"{filename}.new")  # an exposition cannot read an empty file
            try:
                with scratch.open("ab") as file:
                    os.posix_fallocate(file.fileno(), 0, FILE_BYTES)
                scratch.replace(filename)
            except OSError:
                scratch.unlink(missing_ok=True)
                raise
        super().__init__(filename)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + MOST_ENTRY_BYTES > self._capacity:
            os.posix_fallocate(self._f.fileno(), 0, 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


class StoredValue:
    """A number in a file of metrics, and nowhere else.

    prometheus-client's keeps the last number as an object of Python, a new one after each change. One that was made
    while a process held much keeps a megabyte of small objects from being given back to the system. It assigns a slice:
    `pack_into` writes zeros first, which an exposition could read.
    """

    _multiprocess = True  # says to prometheus-client that an exposition reads it from a file
    _lock = Lock()

    def __init__(self, file: MetricFile, key: str) -> None:
        self._file = file
        self._place = file._positions[key]
        self._end = self._place + _NUMBER.size

    def inc(self, amount: float) -> None:
        """Adds to the number."""
        with self._lock:
            self._file._m[self._place : self._end] = _NUMBER.pack(self.get() + amount)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Replaces the number."""
        with self._lock:
            self._file._m[self._place : self._end] = _NUMBER.pack(value)

    def get(self) -> float:
        """Returns the number."""
        (value,) = _NUMBER.unpack_from(self._file._m, self._place)
        return float(value)

    def get_exemplar(self) -> None:
        """Returns no exemplar."""


def write_to_record(record: str) -> None:
    """Has the metrics that this process makes from now on write to a record, which no other process uses meanwhile.

    A metric for which there is no room on the disk is counted in this process alone: no exposition has it.
    """
    values.MmapedDict = MetricFile  # type: ignore[attr-defined, assignment]
    in_file = values.MultiProcessValue(record.__str__)  # type: ignore[no-untyped-call]
    failed = False

    def value(*arguments: Any, **more: Any) -> Any:
        nonlocal failed
        try:
            made = in_file(*arguments, **more)
            return StoredValue(made._file, made._key)
        except OSError as error:
            if not failed:
                failed = True
                log.error("/metrics lacks metrics of this process: %s", error)
            return values.MutexValue(*arguments, **more)  # type: ignore[no-untyped-call]

    values.ValueClass = value


def remove_gauges(folder: Path, record: int) -> None:
    """Removes the gauges of a process that has ended; its counts stay."""
    mark_process_dead(str(record), str(folder))  # type: ignore[no-untyped-call]


class SharedMetrics(Collector):
    """Collects the metrics of all processes that share a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Yields each metric, aggregated over all processes."""
        for metric in MultiProcessCollector(None, str(self._folder)).collect():  # type: ignore[no-untyped-call]
            if metric.name == PROCESS_ID:
                yield from ProcessMetrics({str(int(s.value)): s.labels["process"] for s in metric.samples}).collect()
                continue
            if metric.name == MODEL_REFUSED:
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric


def observe_all(histogram: Histogram, observed: Sequence[float]) -> None:
    """Observes values at the cost of one observation per distinct bucket."""
    bounds = histogram._upper_bounds
    histogram._sum.inc(sum(observed))
    for bucket, count in Counter(map(bisect_left, repeat(bounds), observed)).items():
        histogram._buckets[bucket].inc(count)

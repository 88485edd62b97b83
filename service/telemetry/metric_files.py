"""Shares metrics between the processes of a service through files.

In prometheus-client's multiprocess mode, each process writes a file per kind of metric, and an exposition reads all
of them. The counts of ended processes still belong to the sums: their files are merged into one, so that the cost of
an exposition does not grow with the number of restarts.
"""

import logging
import os
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from service.files import allocate, lock_file
from service.telemetry.process_metrics import ProcessMetrics

log = logging.getLogger("tagwerk.supervisor")

SUMMED = ("counter", "histogram")
LOCK_SECONDS = 0.5  # longest wait of an exposition, never in an event loop, for the lock; merging takes milliseconds
FILE_BYTES = 65_536  # of a file, at first
MOST_ENTRY_BYTES = 4096  # of a metric with its labels and help text


class MetricFile(MmapedDict):
    """A file of metrics, for which there is room on the disk before anything is written to it."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        """Raises OSError."""
        if not read_mode:
            try:
                with Path(filename).open("ab") as file:
                    allocate(file.fileno(), FILE_BYTES)
            except OSError:
                Path(filename).unlink(missing_ok=True)  # an exposition cannot read an empty one
                raise
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + MOST_ENTRY_BYTES > self._capacity:
            allocate(self._f.fileno(), 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def write_to_own_files() -> None:
    """Has the metrics that are made from now on write to files of this process.

    One for which there is no room is counted in this process alone: no exposition has it.
    """
    values.MmapedDict = MetricFile  # type: ignore[attr-defined]
    # The process id is looked up once, not at every count.
    in_file = values.MultiProcessValue(partial(int, os.getpid()))  # type: ignore[no-untyped-call]
    failed = False

    def value(*arguments: Any, **more: Any) -> Any:
        nonlocal failed
        try:
            return in_file(*arguments, **more)
        except OSError as error:
            if not failed:
                failed = True
                log.error("/metrics lacks metrics of process %d: %s", os.getpid(), error)
            return values.MutexValue(*arguments, **more)  # type: ignore[no-untyped-call]

    values.ValueClass = value


class SharedMetrics(Collector):
    """Collects the metrics of all processes that share a folder."""

    def __init__(self, folder: Path, conditions: Iterable[str] = (), processes: str = "") -> None:
        """`conditions` are gauges that are exported only if they are not 0.

        `processes` is the gauge that has a sample per live process, with its kind and id.
        """
        self._folder = folder
        self._conditions = frozenset(conditions)
        self._processes = processes

    def registry(self) -> CollectorRegistry:
        """Returns a registry with this collector only."""
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def collect(self) -> Iterator[Metric]:
        """Yields each metric, aggregated over all processes."""
        with _locked(self._folder, LOCK_SECONDS, shared=True):
            metrics: list[Metric] = list(MultiProcessCollector(None, str(self._folder)).collect())  # type: ignore[no-untyped-call]
        for metric in metrics:
            if metric.name in self._conditions:
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric
            if metric.name == self._processes:
                yield from ProcessMetrics({s.labels["pid"]: s.labels["process"] for s in metric.samples}).collect()


class EndedProcesses:
    """Merges the metric files of processes that have ended. Used by their supervisor."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pids: list[int] = []  # processes whose counts are not merged yet
        self._failure = ""

    def add(self, pid: int) -> None:
        """Removes the gauges of an ended process, and merges its counts, now or at the next `merge`."""
        self._pids.append(pid)
        self.merge()

    def merge(self) -> None:
        """Merges the counts of ended processes, unless an exposition is reading them. Logs an error once."""
        if not self._pids:
            return
        try:
            self._merge_all()
        except OSError as error:
            if self._failure != str(error):
                self._failure = str(error)
                log.error("the metrics of ended processes cannot be merged: %s", error)

    def _merge_all(self) -> None:
        for pid in self._pids:
            mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]
        with _locked(self._folder, 0.0, shared=False) as locked:
            if locked:
                for kind in SUMMED:
                    self._merge(kind)
                self._pids.clear()

    def _merge(self, kind: str) -> None:
        sums: defaultdict[str, float] = defaultdict(float)
        everything, scratch = self._folder / f"{kind}_ended.db", self._folder / f"{kind}_ended.new"
        ended = [self._folder / f"{kind}_{pid}.db" for pid in self._pids]
        for file in (everything, *ended):
            for key, value in _values(file):
                sums[key] += value
        scratch.unlink(missing_ok=True)
        made = MetricFile(str(scratch))
        for key, value in sums.items():
            made.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
        made.close()  # type: ignore[no-untyped-call]
        scratch.replace(everything)
        for file in ended:
            file.unlink(missing_ok=True)


def _values(file: Path) -> Iterator[tuple[str, float]]:
    """Yields the values of a file by key; none if its process was killed while creating it."""
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
            yield key, value
    except (FileNotFoundError, struct.error, RuntimeError, UnicodeDecodeError):
        return


@contextmanager
def _locked(folder: Path, seconds: float, shared: bool) -> Iterator[bool]:
    """Locks the files, shared to read and exclusively to merge; yields whether that succeeded.

    Bounds the wait, since the process with the lock may be stopped. An exposition then continues without the lock, and
    may count a process that has just ended twice or not at all; so it does where no lock can be made.
    """
    try:
        file = (folder / "lock").open("ab")
    except OSError:
        if not shared:
            raise
        yield False
        return
    with file:
        yield lock_file(file.fileno(), seconds, shared=shared, pause_seconds=0.001)

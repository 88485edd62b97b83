"""The metrics of several processes as one: those that live, those that have ended, and none but one."""

import asyncio
import inspect
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest, values
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry.metric_files import FILE_BYTES, MetricFile, SharedMetrics, StoredValue, remove_gauges
from service.telemetry.metrics import SHARED_FOLDER, Metrics, RanBatch


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    (tmp_path / "metrics").mkdir()
    monkeypatch.setenv(SHARED_FOLDER, str(tmp_path / "metrics"))
    return tmp_path / "metrics"


@pytest.fixture
def start(folder, monkeypatch) -> Callable[..., Metrics]:
    """Returns a function that makes the metrics of one more process, or of one with a record: all are in this one."""
    numbers = count()
    for name in ("ValueClass", "MmapedDict"):
        monkeypatch.setattr(values, name, getattr(values, name))
    return lambda record=None: Metrics("server", str(next(numbers) if record is None else record))


@pytest.fixture
def told(folder):
    """Returns the samples that a process exposes of all, by name and labels; on request, those of the processes too."""
    registry = CollectorRegistry()
    registry.register(SharedMetrics(folder))

    def told(left_out: tuple[str, ...] = ("process_", "build_info")) -> dict[str, float]:
        found = samples(generate_latest(registry))
        return {name: value for name, value in found.items() if not name.startswith(left_out)}

    return told


def samples(exposition: bytes) -> dict[str, float]:
    families = text_string_to_metric_families(exposition.decode())
    found = {}
    for sample in (sample for family in families for sample in family.samples):
        labels = [sample.labels[label] for label in sorted(sample.labels)]
        found[" ".join([sample.name.removeprefix("tagwerk_"), *labels])] = sample.value
    return found


def run_batch(metrics: Metrics) -> None:
    """Records a batch and some compilations of a tagger."""

    async def ran() -> None:
        metrics.ran("tagger", 8, RanBatch(0.2, 64, 16, [0.1, 0.3]))
        metrics.flush()

    asyncio.run(ran())
    metrics.compilations.labels("tagger").inc(5)


def test_the_private_interfaces_of_prometheus_client_are_there(tmp_path):
    """A new version that changes one fails here, by its name; pyproject.toml bounds the version."""
    file = MetricFile(str(tmp_path / "counter_1.db"))
    used = {
        file: "_capacity _f _init_value _m _positions _used",
        Histogram("seconds", "Of a request.", registry=None): "_buckets _sum _upper_bounds",
        values: "MmapedDict MultiProcessValue MutexValue ValueClass",
    }
    for owner, names in used.items():
        for name in names.split():
            assert hasattr(owner, name), name
    file.close()
    assert [*inspect.signature(mark_process_dead).parameters] == ["pid", "path"]


def test_a_number_is_in_its_file_and_nowhere_else(tmp_path):
    file = MetricFile(str(tmp_path / "counter_1.db"))
    file.read_value("some")
    one, other = StoredValue(file, "some"), StoredValue(file, "some")
    one.inc(2)
    other.inc(0.5)
    assert (one.get(), other.get(), file.read_value("some")[0]) == (2.5, 2.5, 2.5)
    other.set(7)
    assert one.get() == 7
    file.close()


def test_each_gauge_of_two_processes_is_what_its_help_says(start, told):
    """What waits adds up. That a model is loaded does not: it is so, or it is not so."""
    for seconds, waiting, ready in ((3.0, 1, 1), (2.0, 4, 0)):
        metrics = start()
        metrics.model_info.labels("tagger", "1").set(1)
        metrics.model_load_duration.labels("tagger", "1").set(seconds)
        metrics.queue_entries.set(waiting)
        metrics.queue_tokens.set(10 * waiting)
        metrics.slots_in_use.labels("lm").set(waiting)
        metrics.model_refused.labels("tagger", "2").set(True)
        metrics.model_refused.labels("tagger", "3").set(False)
        metrics.ready_processes.set(ready)
        metrics.connections.set(ready + 2)
    expected = {
        "model_info tagger 1": 1,
        "model_load_duration_seconds tagger 1": 3,
        "queue_entries": 5,
        "queue_tokens": 50,
        "slots_in_use lm": 5,
        "model_refused tagger 2": 1,
        "model_refused tagger 3": None,
        "ready_processes": 1,
        "connections": 5,
    }
    found = told()
    assert {name: found.get(name) for name in expected} == expected


def test_a_successor_goes_on_in_the_record_of_an_ended_process(start, told, folder):
    """A count never falls: Prometheus takes a lower value for a new beginning, and counts all of it again."""
    once = None
    for number in range(1, 4):
        run_batch(start(record=1))
        found = {name: value for name, value in told().items() if value and not name.startswith("queue_entries")}
        once = once or found
        assert found == pytest.approx({name: value * number for name, value in once.items()})
        remove_gauges(folder, 1)
        assert {name: value for name, value in told().items() if value} == pytest.approx(found)
    assert {file.name for file in folder.iterdir()} == {"counter_1.db", "histogram_1.db"}


@pytest.mark.parametrize("kind", ["counter", "histogram", "gauge_livesum"])
def test_a_file_that_a_process_was_killed_in_the_middle_of_making_is_none_yet(start, told, folder, kind):
    (folder / f"{kind}_1.db.new").touch()
    (folder / f"{kind}_2.db").write_bytes(b"\0" * FILE_BYTES)
    assert told() == {}
    for record in (1, 2):
        run_batch(start(record))
    assert told()["batch_size_count tagger"] == 2


def test_a_single_process_tells_its_own():
    metrics = Metrics("server")
    metrics.model_info.labels("tagger", "1").set(1)
    metrics.queue_entries.set(5)
    found = samples(metrics.exposition())
    assert found["model_info tagger 1"] == 1
    assert found["queue_entries"] == 5
    assert found[f"process_resident_memory_bytes {os.getpid()} server"] > 1e6


def test_each_process_has_its_own_memory_processor_time_and_files(start, told, folder, monkeypatch):
    with subprocess.Popen(["sleep", "100"]) as other:
        pids = (os.getpid(), other.pid)
        for pid in pids:
            monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
            start()
        found = told(left_out=())
        for pid in pids:
            assert found[f"process_info {pid} server"] == 1
            for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "max_fds", "start_time_seconds"):
                assert found[f"process_{name} {pid} server"] >= 0
        assert found[f"process_resident_memory_bytes {pids[0]} server"] > 1e7
        other.kill()
        other.wait()
    assert not [name for name in told(left_out=()) if f"_bytes {other.pid} " in name], "it has ended"
    remove_gauges(folder, 1)
    after = told(left_out=())
    assert not [name for name in after if f" {other.pid} " in name]
    assert after[f"process_info {pids[0]} server"] == 1


def test_files_have_their_room_on_the_disk_before_anything_is_written_to_them(start, folder):
    """Where the disk is full, writing to a mapped file without room kills the process."""
    metrics = start()
    metrics.cancelled.inc()
    for number in range(1000):
        metrics.compilations.labels("x" * 200 + str(number)).inc()
    found = {file.name: file.stat() for file in folder.glob("*.db")}
    assert len(found) >= 4
    assert all(512 * status.st_blocks >= status.st_size for status in found.values()), found
    assert found["counter_0.db"].st_size > 4 * FILE_BYTES


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Limits the size of files during the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_process_without_room_for_its_metrics_goes_on_without_them(start, told, folder, caplog):
    with room_for(3 * FILE_BYTES):
        first = start()
        for number in range(400):
            first.compilations.labels("x" * 500 + str(number)).inc()
    kept = [name for name in told() if name.startswith("compilations_total x")]
    assert 100 < len(kept) < 400, "as many as there was room for"
    caplog.clear()
    with room_for(100):
        second = start()
        run_batch(second)
        second.queue_entries.set(5)
    assert second.queue_entries._value.get() == 5
    assert caplog.messages == ["/metrics lacks metrics of this process: [Errno 27] File too large"]
    assert not list(folder.glob("*_1.db*"))
    assert "compilations_total tagger" not in told(), "which does not fail, either"


def test_without_the_folder_a_process_tells_its_own(start, folder):
    metrics = start()
    run_batch(metrics)
    shutil.rmtree(folder)
    assert b"batch_size" in metrics.exposition()

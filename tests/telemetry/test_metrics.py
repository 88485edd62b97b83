"""The metrics of several processes as one: those that live, those that have ended, and none but one."""

import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest, values
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry.metric_files import FILE_BYTES, MetricFile, SharedMetrics, StoredValue, remove_gauges
from service.telemetry.metrics import SHARED_FOLDER, Metrics
from tests.conftest import ROOT

DOES = """
import sys
from service.telemetry.metrics import Metrics
m = Metrics("server", sys.argv[1])
for line in sys.stdin:
    exec(line)
    print(flush=True)
"""
LOADED = "m.model_info.labels('tagger', '1').set(1); m.model_load_duration.labels('tagger', '1').set({seconds})"
RAN = "m.observe_batch('tagger', 8, 0.2, 64, 16, [0.1, 0.3]); m.compilations.labels('tagger').inc(5)"


class Process:
    """A process that does with the metrics what it is told, and then goes on living."""

    def __init__(self, folder: Path, record: str, first: str = "") -> None:
        environment = os.environ | {SHARED_FOLDER: str(folder)}
        self.record = record
        self.process = subprocess.Popen(
            [sys.executable, "-c", first + DOES, record],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def does(self, *what: str) -> "Process":
        assert self.process.stdin
        assert self.process.stdout
        for line in what:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "\n"
        return self

    def kill(self) -> str:
        """Returns its record."""
        self.process.kill()
        self.process.wait()
        return self.record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "metrics").mkdir()
    return tmp_path / "metrics"


@pytest.fixture
def start(folder) -> Iterator[Callable[..., Process]]:
    numbers = count()
    with ExitStack() as stack:

        def started(*what: str, first: str = "", record: str = "") -> Process:
            made = Process(folder, record or str(next(numbers)), first)
            stack.enter_context(made.process)
            stack.callback(made.process.kill)
            return made.does(*what)

        yield started


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
    for seconds, waiting in ((3.0, 1), (2.0, 4)):
        start(
            LOADED.format(seconds=seconds),
            f"m.queue_entries.set({waiting}); m.queue_tokens.set({10 * waiting})",
            f"m.slots_in_use.labels('lm').set({waiting})",
        )
    start("m.model_refused.labels('tagger', '2').set(True)")
    for ready in (1, 1, 0):
        start(f"m.ready_processes.set({ready}); m.connections.set({ready + 2})")
    expected = {
        "model_info tagger 1": 1,
        "model_load_duration_seconds tagger 1": 3,
        "queue_entries": 5,
        "queue_tokens": 50,
        "slots_in_use lm": 5,
        "model_refused tagger 2": 1,
        "ready_processes": 2,
        "connections": 8,
    }
    found = told()
    assert {name: found.get(name) for name in expected} == expected


def test_a_successor_goes_on_in_the_record_of_an_ended_process(start, told, folder):
    """A count never falls: Prometheus takes a lower value for a new beginning, and counts all of it again."""
    once = None
    for number in range(1, 4):
        ended = start(RAN, record="1")
        found = {name: value for name, value in told().items() if value and not name.startswith("queue_entries")}
        once = once or found
        assert found == pytest.approx({name: value * number for name, value in once.items()})
        remove_gauges(folder, ended.kill())
        assert {name: value for name, value in told().items() if value} == pytest.approx(found)
    assert {file.name for file in folder.iterdir()} == {"counter_1.db", "histogram_1.db"}


@pytest.mark.parametrize("kind", ["counter", "histogram", "gauge_livesum"])
def test_a_file_that_a_process_was_killed_in_the_middle_of_making_is_none_yet(start, told, folder, kind):
    (folder / f"{kind}_1.db.new").touch()
    (folder / f"{kind}_2.db").write_bytes(b"\0" * FILE_BYTES)
    assert told() == {}
    for record in ("1", "2"):
        start(RAN, record=record)
    assert told()["batch_size_count tagger"] == 2


def test_a_single_process_tells_its_own():
    metrics = Metrics("server")
    metrics.model_info.labels("tagger", "1").set(1)
    metrics.queue_entries.set(5)
    found = samples(metrics.exposition())
    assert found["model_info tagger 1"] == 1
    assert found["queue_entries"] == 5
    assert found[f"process_resident_memory_bytes {os.getpid()} server"] > 1e6


def test_each_process_has_its_own_memory_processor_time_and_files(start, told, folder):
    servers = (start("pass"), start("pass"))
    found = told(left_out=())
    for pid in (server.process.pid for server in servers):
        assert found[f"process_info {pid} server"] == 1
        for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "max_fds", "start_time_seconds"):
            assert found[f"process_{name} {pid} server"] > 0
    pid = servers[0].process.pid
    remove_gauges(folder, servers[0].kill())
    after = told(left_out=())
    assert not [name for name in after if f" {pid} " in name]
    assert after[f"process_info {servers[1].process.pid} server"] == 1


def test_files_have_their_room_on_the_disk_before_anything_is_written_to_them(start, folder):
    """Where the disk is full, writing to a mapped file without room kills the process."""
    label = "x" * 200
    more = f"[m.cancelled.inc(), *(m.compilations.labels('{label}' + str(i)).inc() for i in range(1000))]"
    process = start(RAN, more)
    found = {file.name: file.stat() for file in folder.glob("*.db")}
    assert len(found) >= 4
    assert all(512 * status.st_blocks >= status.st_size for status in found.values()), found
    assert found[f"counter_{process.record}.db"].st_size > 4 * FILE_BYTES


NO_ROOM = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"


def test_a_process_without_room_for_its_metrics_goes_on_without_them(start, told, folder):
    first = start(
        NO_ROOM.format(size=3 * FILE_BYTES), "[m.compilations.labels('x' * 500 + str(i)).inc() for i in range(400)]"
    )
    assert first.process.poll() is None
    found = told()
    kept = [name for name in found if name.startswith("compilations_total x")]
    assert 100 < len(kept) < 400, "as many as there was room for"
    counts = "m.queue_entries.set(5); assert m.queue_entries._value.get() == 5"
    second = start(RAN, counts, first=NO_ROOM.format(size=100))
    assert not list(folder.glob(f"*_{second.record}.db*"))
    assert "compilations_total tagger" not in told(), "which does not fail, either"


def test_without_the_folder_a_process_tells_its_own(start, folder):
    process = start(RAN)
    shutil.rmtree(folder)
    process.does("found = m.exposition(); assert b'batch_size' in found, found")

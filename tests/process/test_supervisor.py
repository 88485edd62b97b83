"""What the supervisor prepares for its processes, and how it ends them."""

import errno
import logging
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from prometheus_client import values

from service.errors import ConfigurationError
from service.process import supervisor
from service.process.board import SPARE_SLOTS, Board
from service.process.fork_server import Inherited
from service.process.supervised import GRACE_SECONDS, Child
from service.process.supervisor import Supervisor
from service.settings import Settings
from tests.fakes import Clock
from tests.process.rollout_scene import Process

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTTOU)


class Ending:
    """A process that ends when it is killed, or so many seconds after SIGTERM."""

    name = "process 1"

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._ends = float("inf")
        self._killed = False

    @property
    def status(self) -> int | None:
        if self._killed:
            return -signal.SIGKILL
        return 0 if self._clock.now >= self._ends else None

    def send(self, sig: int) -> None:
        assert sig == signal.SIGTERM
        self._ends = self._clock.now + self._seconds

    def kill(self) -> None:
        self._killed = self.status is None


@pytest.mark.parametrize(
    ("needs", "second_signal", "took", "status"), [(3, None, 3, 0), (10**6, None, 100, 1), (10**6, 5, 5, 1)]
)
def test_processes_are_waited_for_until_they_end_or_their_time_does_or_a_second_signal_comes(
    monkeypatch, needs, second_signal, took, status
):
    clock = Clock()
    made = Supervisor.__new__(Supervisor)
    made._signals, made._signal = 1, signal.SIGTERM
    made._settings = Settings(drain_delay_seconds=60, drain_timeout_seconds=40 - GRACE_SECONDS)
    made._listening = made._fork_server = cast(Any, SimpleNamespace(close=lambda: None))

    def sleep(seconds: float) -> None:
        clock.now += 1
        if second_signal is not None and clock.now - began >= second_signal:
            made._on_signal(signal.SIGINT, None)

    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=clock, sleep=sleep))
    began, process = clock.now, Ending(clock, needs)
    made._children = lambda: [cast(Child, process)]  # type: ignore[method-assign]
    assert made._stop() == status
    assert clock.now - began == took
    assert process.status is not None


class Started(Process):
    """A server process that loads at once, and ends when it is told to."""

    all: list["Started"] = []  # noqa: RUF012 (emptied by each test)

    def __init__(self, board: Board, number: int) -> None:
        super().__init__(board, number)
        self.all.append(self)
        self.load()

    def send(self, sig: int) -> None:
        if self.status is None:
            self.status = 0


class Forking:
    """A fork server that notes with what it was made; its children are `Started`."""

    made: "Forking"
    failure: OSError | None = None

    def __init__(self, files: Inherited, environment: Mapping[str, str]) -> None:
        self.files, self.environment = files, environment
        self.closed = False
        slots = int(environment["TAGWERK_PROCESSES"]) + SPARE_SLOTS
        self._board = Board(slots, files.board)
        self.started = False
        Forking.made = self

    def start(self) -> None:
        self.started = True
        if self.failure is not None:
            raise self.failure

    def fork(self, number: int) -> Started:
        if self.failure is not None:
            raise self.failure
        return Started(self._board, number)

    def poll(self) -> None:
        assert not self.closed

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def settings(store, monkeypatch, tmp_path) -> Iterator[Settings]:
    """Returns settings for a service whose processes are all `Started`; restores what a supervisor changes."""
    before = {name: signal.getsignal(name) for name in SIGNALS}
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "restored at the end")
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setattr(supervisor, "ForkServer", Forking)
    monkeypatch.setattr(Forking, "failure", None)
    Started.all = []
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # is ignored where nohup has started the tests
    yield Settings(model_store=store, processes=2, store_interval_seconds=0)
    for name, handler in before.items():
        signal.signal(name, handler)


def folders(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "temporary").iterdir())


def run(made: Supervisor, monkeypatch: pytest.MonkeyPatch, ticks: int = 3, sig: int = signal.SIGTERM) -> int:
    """Runs a supervisor for some ticks, and stops it with a signal."""
    left = [ticks]

    def sleep(seconds: float) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), sig)

    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    return made.run()


def test_each_process_inherits_what_all_share(settings, listening, monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.INFO, "tagwerk")
    fileno, port = listening.fileno(), listening.getsockname()[1]
    made = Supervisor(settings, listening)
    (folder,) = folders(tmp_path)
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(folder / "metrics")
    assert run(made, monkeypatch) == 0
    assert [child.name for child in Started.all] == ["process 1", "process 2"]
    fork_server = Forking.made
    assert fork_server.files.listening == fileno
    assert fork_server.environment["TAGWERK_PROCESSES"] == "2"
    assert fork_server.environment["TMPDIR"] == str(folder)
    assert fork_server.environment["TAGWERK_XLA_CACHE"] == str(folder / "xla")
    assert fork_server.started
    assert fork_server.closed
    messages = [
        "processes: 2, TAGWERK_PROCESSES",
        f"listening at http://127.0.0.1:{port}, not ready yet",
        f"ready: http://127.0.0.1:{port}, documentation at /docs",
        "SIGTERM: stopping; the processes drain",
        "stopped, with status 0",
    ]
    assert [message for message in caplog.messages if message in messages] == messages
    assert folders(tmp_path) == []


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGHUP])
def test_a_terminal_that_is_closed_stops_the_service_in_order(settings, listening, monkeypatch, tmp_path, sig):
    assert run(Supervisor(settings, listening), monkeypatch, sig=sig) == 0
    assert folders(tmp_path) == []


def test_nohup_keeps_the_service_running(settings, listening, monkeypatch):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    made = Supervisor(settings, listening)
    os.kill(os.getpid(), signal.SIGHUP)
    assert made._signals == 0
    assert run(made, monkeypatch) == 0


def test_the_gauges_of_a_process_that_has_ended_are_removed_and_its_counts_stay(settings, listening, monkeypatch):
    made = Supervisor(settings, listening)
    made._rollout.tick()
    for name in ("gauge_livesum_0.db", "gauge_livemax_1.db", "counter_0.db"):
        (made._metrics_folder / name).touch()
    Started.all[0].status = -11
    made._rollout.tick()
    names = {file.name for file in made._metrics_folder.iterdir() if "supervisor" not in file.name}
    assert names == {"gauge_livemax_1.db", "counter_0.db"}
    run(made, monkeypatch)


def test_a_process_that_ends_with_an_error_while_the_service_stops_is_its_status(settings, listening, monkeypatch):
    made = Supervisor(settings, listening)
    made._rollout.tick()
    monkeypatch.setattr(Started.all[1], "send", lambda sig: setattr(Started.all[1], "status", 70))
    assert run(made, monkeypatch) == 1
    assert [child.status for child in Started.all] == [0, 70]


def test_an_unexpected_error_ends_all_processes(settings, listening, monkeypatch, tmp_path):
    made = Supervisor(settings, listening)
    made._rollout.tick()
    monkeypatch.setattr(made._rollout, "tick", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        made.run()
    assert [child.status for child in Started.all] == [-signal.SIGKILL] * 2
    assert folders(tmp_path) == []


def test_a_start_that_fails_is_undone(settings, listening, tmp_path):
    missing = settings.model_copy(update={"model_store": tmp_path / "none"})
    with pytest.raises(ConfigurationError, match="there is no model store"):
        Supervisor(missing, listening)
    assert folders(tmp_path) == []


def no_descriptors(*arguments: object, **more: object) -> NoReturn:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize(("owner", "name"), [("_rollout", "tick"), ("_fork_server", "poll")])
def test_an_error_of_the_machine_is_logged_and_the_supervisor_goes_on(
    settings, listening, monkeypatch, caplog, owner, name
):
    made = Supervisor(settings, listening)
    failing = getattr(made, owner)
    real, left = getattr(failing, name), [2]

    def fail_twice() -> None:
        left[0] -= 1
        if left[0] >= 0:
            no_descriptors()
        real()

    monkeypatch.setattr(failing, name, fail_twice)
    assert run(made, monkeypatch, ticks=8) == 0
    assert caplog.text.count("the supervisor continues after an error") == 2
    assert len(Started.all) == 2


def test_a_temporary_folder_that_is_removed_is_made_again_for_the_next_process(
    settings, listening, monkeypatch, tmp_path, caplog
):
    made = Supervisor(settings, listening)
    made._rollout.tick()
    (folder,) = folders(tmp_path)
    shutil.rmtree(folder)
    Started.all[0].status = -11
    made._tick()
    made._rollout._start_at = 0.0
    made._tick()
    assert len(Started.all) == 3
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "metrics").is_dir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: 12345)
        with pytest.raises(PermissionError, match="is another user's"):
            made._fork(0)
    shutil.rmtree(folder)
    run(made, monkeypatch)

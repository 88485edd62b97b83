"""What the supervisor prepares for its processes, and how it ends them."""

import errno
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import values

from service.errors import ConfigurationError
from service.process import supervisor
from service.process.board import SPARE_SLOTS, Board
from service.process.fork_server import Inherited
from service.process.supervised import GRACE_SECONDS
from service.process.supervisor import Supervisor
from service.settings import Settings
from tests.fakes import Clock
from tests.process.rollout_scene import Process

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTTOU)
STOP = {3: signal.SIGTERM}  # after three seconds


class Started(Process):
    """A server process that loads at once, and ends when it is told to, with a status; never if that is None."""

    all: list["Started"] = []  # noqa: RUF012 (emptied by each test)
    ends_with: int | None = 0

    def __init__(self, board: Board, number: int) -> None:
        super().__init__(board, number)
        self.all.append(self)
        self.load()

    def send(self, sig: int) -> None:
        assert sig == signal.SIGTERM
        if self.status is None:
            self.status = self.ends_with


class Forking:
    """A fork server that notes with what it was made; its children are `Started`."""

    made: "Forking"

    def __init__(self, files: Inherited, environment: Mapping[str, str]) -> None:
        self.files, self.environment = files, environment
        self.started = self.closed = False
        self._board = Board(int(environment["TAGWERK_PROCESSES"]) + SPARE_SLOTS, files.board)
        Forking.made = self

    def start(self) -> None:
        self.started = True
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # it is tried again when a process is forked

    def fork(self, number: int) -> Started:
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
    Started.all = []
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # is ignored where nohup has started the tests
    yield Settings(model_store=store, processes=2, store_interval_seconds=0)
    for name, handler in before.items():
        signal.signal(name, handler)


def folders(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "temporary").iterdir())


def run(
    made: Supervisor, monkeypatch: pytest.MonkeyPatch, signals: Mapping[int, int] = STOP, clock: Clock | None = None
) -> int:
    """Runs a supervisor whose ticks take a second, until it ends; `signals` has those that it gets, by the second."""
    clock = clock or Clock()
    began = clock.now

    def sleep(seconds: float) -> None:
        clock.now += 1
        if (sig := signals.get(round(clock.now - began))) is not None:
            os.kill(os.getpid(), sig)

    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=clock, sleep=sleep))
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
    assert run(Supervisor(settings, listening), monkeypatch, {1: sig}) == 0
    assert folders(tmp_path) == []


@pytest.mark.parametrize(("signals", "seconds"), [(STOP, 3 + 100), (STOP | {8: signal.SIGINT}, 8)])
def test_processes_that_do_not_end_are_killed_once_their_time_is_over_or_a_second_signal_comes(
    settings, listening, monkeypatch, caplog, signals, seconds
):
    times = {"drain_delay_seconds": 60, "drain_timeout_seconds": 40 - GRACE_SECONDS}
    monkeypatch.setattr(Started, "ends_with", None)
    made, clock = Supervisor(settings.model_copy(update=times), listening), Clock()
    assert run(made, monkeypatch, signals, clock) == 1
    assert clock.now == Clock().now + seconds
    assert [child.status for child in Started.all] == [-signal.SIGKILL] * 2
    assert "killed the process 1, process 2, which did not end" in caplog.text


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
    Started.all[1].ends_with = 70
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


@pytest.mark.parametrize(("owner", "name"), [("_rollout", "tick"), ("_fork_server", "poll")])
def test_an_error_of_the_machine_is_logged_and_the_supervisor_goes_on(
    settings, listening, monkeypatch, caplog, owner, name
):
    made = Supervisor(settings, listening)
    failing = getattr(made, owner)
    real, calls = getattr(failing, name), count(1)

    def fail_twice() -> None:
        if next(calls) <= 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        real()

    monkeypatch.setattr(failing, name, fail_twice)
    assert run(made, monkeypatch, {8: signal.SIGTERM}) == 0
    assert caplog.text.count("the supervisor continues after an error") == 2
    assert len(Started.all) == 2

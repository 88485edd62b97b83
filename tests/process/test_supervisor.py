"""How the supervisor ends its processes."""

import signal
from types import SimpleNamespace
from typing import cast

import pytest

from service.process import supervisor
from service.process.child import Child
from service.process.supervisor import Supervisor
from tests.fakes import Clock


class Process:
    """A process that ends when it is killed, or so many seconds after SIGTERM."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.name = "worker"
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
def test_processes_are_waited_for_until_they_end_or_patience_does_or_a_second_signal_comes(
    monkeypatch, needs, second_signal, took, status
):
    clock = Clock()
    made = Supervisor.__new__(Supervisor)
    made._signals = 1

    def sleep(seconds: float) -> None:
        clock.now += 1
        if second_signal is not None and clock.now - began >= second_signal:
            made._on_signal(signal.SIGINT, None)

    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=clock, sleep=sleep))
    began, process = clock.now, Process(clock, needs)
    assert made._end([cast(Child, process)], 100) == status
    assert clock.now - began == took
    assert process.status is not None

"""A rollout whose processes do what a test says, in shared memory, with a clock that the test sets."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from service.process import rollout as rollout_module
from service.process import supervised
from service.process.board import SPARE_SLOTS, TICK_SECONDS, Board, ProcessStatus, ServiceStatus
from service.process.rollout import Rollout
from service.process.supervised import Child
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey, State
from tests.fakes import Clock

T = TypeVar("T")
CRASHED = -11


class Process:
    """A server process that does what the test says. It is a `Child` to the supervisor."""

    def __init__(self, board: Board, number: int) -> None:
        self.name = f"process {number + 1}"
        self.number = number
        self.board = board
        self.pid: int | None = 1000 + number
        self.status: int | None = None
        self.terminated = False
        self.stands_still = False
        self.obeys = True  # ends when it is killed
        self.slot = board.slots[number]
        self.beside_another = board.ready()
        self.to_load = tuple(key for key, _ in board.service.read().load)

    def send(self, sig: int) -> None:
        self.terminated = True
        self.slot.state = State.DRAINING

    def kill(self) -> None:
        if self.status is None and self.obeys:
            self.status = -9

    def die(self, loading: ModelKey | None = None, status: int = CRASHED) -> None:
        if loading is not None:
            self.slot.status.write(ProcessStatus(loading=loading))
        self.status = status

    def end(self) -> None:
        """Ends after it has drained."""
        assert self.terminated
        self.status = 0

    def load(self, unread: str = "", **refused: str) -> None:
        """Loads everything except what is `refused`, by model name, or `unread`: the name of one."""
        given = {key: refused[key.name] for key in self.to_load if key.name in refused}
        missing = tuple((key, "manifest.json is missing") for key in self.to_load if key.name == unread)
        ready = tuple(key for key in self.to_load if key not in given and key.name != unread)
        self.slot.status.write(ProcessStatus(ready=ready, refused=tuple(given.items()), unread=missing))
        self.slot.loaded = True
        if not self.board.lacks_model(self.slot):
            self.slot.state = State.READY


class AtOnce:
    """A pool whose threads have done everything at once."""

    def __init__(self, *arguments: object, **more: object) -> None:
        pass

    def submit(self, work: Callable[[], object]) -> Future[object]:
        done: Future[object] = Future()
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)
        return done


class Scene:
    """A rollout and its processes.

    Attributes:
        started: every process that was started, in order.
        failures: errors of the next starts.
    """

    def __init__(self, store: Path, processes: int, clock: Clock, **settings: Any) -> None:
        usual = {"store_interval_seconds": 1e-9, "drain_timeout_seconds": 30.0}
        self.settings = Settings(model_store=store, processes=processes, **usual | settings)
        self.clock = clock
        self.board = Board(processes + SPARE_SLOTS)
        self.started: list[Process] = []
        self.failures: list[OSError] = []
        self.cleaned_up: list[int] = []  # numbers of slots
        self._metrics = Metrics()
        self.rollout = Rollout(self.settings, self.board, self._start, self.cleaned_up.append, self._metrics)

    def _start(self, number: int) -> Child:
        if self.failures:
            raise self.failures.pop(0)
        assert number not in {process.number for process in self.running}, "one process a slot"
        self.started.append(Process(self.board, number))
        assert len(self.running) <= self.settings.processes + SPARE_SLOTS
        return cast(Child, self.started[-1])

    # Of the processes

    @property
    def running(self) -> list[Process]:
        return [process for process in self.started if process.status is None]

    @property
    def serving(self) -> list[Process]:
        """Those that neither load nor drain."""
        return [process for process in self.running if process.slot.state is State.READY]

    @property
    def loading(self) -> list[Process]:
        return [process for process in self.running if process.slot.state is State.STARTING]

    @property
    def draining(self) -> list[Process]:
        return [process for process in self.running if process.terminated]

    # Of time

    def tick(self, ticks: int = 1) -> None:
        """Passes time; the event loops of the processes run."""
        for _ in range(ticks):
            self.clock.now += TICK_SECONDS
            for process in self.running:
                if not process.stands_still:
                    process.slot.beat()
            self.rollout.tick()

    def until(self, condition: Callable[[], T | None], ticks: int = 5000) -> T:
        for _ in range(ticks):
            if found := condition():
                return found
            self.tick()
        raise AssertionError("it never came")

    def look(self) -> None:
        """Waits until polls of the store have begun and ended, and a process could have been started."""
        self.tick(50)

    def load_all(self) -> None:
        """Starts, and loads all that processes are to load."""
        self.until(lambda: len(self.started) == self.settings.processes)
        for process in self.loading:
            process.load()
        self.tick()

    def start_one(self) -> Process:
        """Waits for the next process to start."""
        before = len(self.started)
        self.until(lambda: len(self.started) > before)
        return self.started[-1]

    def leaving(self) -> Process:
        """Waits until a process drains, and only one; returns it."""
        (process,) = self.until(lambda: self.draining)
        return process

    def finish(self) -> None:
        """Lets all processes load, drain and end, until nothing changes any more."""
        quiet = 0
        while quiet < 50:
            quiet = 0 if self.loading or self.draining else quiet + 1
            for process in self.loading:
                process.load()
            for process in self.draining:
                process.end()
            self.tick()

    # Of what is published and counted

    @property
    def service(self) -> ServiceStatus:
        return self.board.service.read()

    @property
    def shares(self) -> dict[str, float]:
        return {str(key): share for key, share in self.service.shares}

    @property
    def refusals(self) -> dict[str, str]:
        return {str(key): reason for key, reason in self.service.refused}

    def value(self, name: str, **labels: str) -> float | None:
        return self._metrics.registry.get_sample_value(f"tagwerk_{name}", labels)

    @property
    def rollouts(self) -> dict[str, float]:
        """The rollouts that have ended, by how."""
        results = ("done", "refused", "abandoned")
        return {result: count for result in results if (count := self.value("swaps_total", result=result))}

    @property
    def restarts(self) -> float:
        """The processes that were started again."""
        return self.value("restarts_total", process="server") or 0

    def refused(self, name: str, version: str) -> float | None:
        return self.value("model_refused", model=name, version=version)


@contextmanager
def scene(store: Path, processes: int = 1, **settings: object) -> Iterator[Scene]:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        for module in (rollout_module, supervised):
            patch.setattr(module, "time", SimpleNamespace(monotonic=clock))
        yield Scene(store, processes, clock, **settings)


@contextmanager
def serving(store: Path, processes: int = 1, **settings: object) -> Iterator[Scene]:
    """Yields a scene whose processes have loaded all."""
    with scene(store, processes, **settings) as made:
        made.load_all()
        yield made


def keys(*names: str) -> set[ModelKey]:
    return {ModelKey(*name.split("/")) for name in names}

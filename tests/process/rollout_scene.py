"""The supervisor's engines, in the place of whose processes a test speaks at the other end of the channel."""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from service.process.child import Child
from service.process.control_channel import Load, Loaded, Loading, Message, SetShares, decode, encode
from service.process.rollout import Rollout
from service.process.supervised_engine import SupervisedEngine
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey, ModelState, State
from tests.artifact.test_manifest import write_version

T = TypeVar("T")
CRASHED = -11


class Process:
    """An engine process that does what the test says. It is a `Child` to the supervisor."""

    name = kind = "engine"
    pid = None

    def __init__(self, number: int) -> None:
        self.number = number
        self.status: int | None = None
        self.starts = 0
        self.taken_over = 0
        self.arguments: tuple[str, ...] = ()
        self._channel: socket.socket | None = None

    def start(self, files: Sequence[int], *arguments: str) -> None:
        self.close()
        assert arguments[:2] == ("--channel", str(files[0]))
        self._channel = socket.socket(fileno=os.dup(files[0]))
        self._channel.setblocking(False)
        self.arguments = arguments[2:]
        self.status = None
        self.starts += 1

    def take_over(self, other: "Process") -> None:
        self.close()
        self._channel, other._channel = other._channel, None
        self.status, self.arguments = other.status, other.arguments
        self.taken_over += 1

    def send(self, sig: int) -> None:
        self.kill()

    def kill(self) -> None:
        if self.status is None:
            self.status = -9

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    @property
    def channel(self) -> socket.socket:
        assert self._channel is not None
        return self._channel

    # Messages of the engine, and those that it has received.

    def send_to_supervisor(self, *messages: Message) -> None:
        for one in messages:
            self.channel.send(encode(one))

    def die(self, loading: ModelKey | None = None) -> None:
        if loading is not None:
            self.send_to_supervisor(Loading(loading))
        self.status = CRASHED

    def load(self, load: Load, **refused: str) -> None:
        """Reports everything as loaded except `refused`, by model name."""
        states = [
            ModelState(key, State.REFUSED, refused[key.name]) if key.name in refused else ModelState(key, State.READY)
            for key in load.versions
        ]
        self.send_to_supervisor(Loaded(tuple(states)))

    def received(self) -> list[Message]:
        try:
            return [decode(one) for one in self.channel.recv(1_000_000).splitlines()]
        except BlockingIOError:
            return []


class AtOnce:
    """A pool whose threads have done everything before anybody looks."""

    def __init__(self, *arguments: object, **more: object) -> None:
        pass

    def submit(self, work: Callable[[], object]) -> Future[object]:
        done: Future[object] = Future()
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)
        return done

    def shutdown(self, **how: object) -> None:
        pass


class Scene:
    """A rollout and its processes."""

    def __init__(self, store: Path, engines: int = 1, **settings: Any) -> None:
        self.settings = Settings(model_store=store, store_interval_seconds=1e-9, **settings)
        self.processes: list[Process] = []
        self._metrics = Metrics()
        self.listening = [socket.socket() for _ in range(engines)]
        self.cleaned_up: list[object] = []
        self.rollout = Rollout(self.settings, self.listening, self._make, self.cleaned_up.append, self._metrics)
        self.rollout.start()

    def rollbacks(self, name: str) -> float:
        """Returns how many rollbacks of a model are counted."""
        return self._metrics.registry.get_sample_value("tagwerk_rollbacks_total", {"model": name}) or 0

    def swaps(self, result: str) -> float:
        """Returns how many changes of the loaded versions have ended so."""
        return self._metrics.registry.get_sample_value("tagwerk_swaps_total", {"result": result}) or 0

    def refused(self, name: str, version: str) -> float | None:
        """Returns the gauge of a refused version."""
        labels = {"model": name, "version": version}
        return self._metrics.registry.get_sample_value("tagwerk_model_refused", labels)

    def _make(self, number: int) -> Child:
        self.processes.append(Process(number))
        return cast(Child, self.processes[-1])

    @property
    def children(self) -> set[object]:
        return set(self.rollout.children)

    @property
    def engines(self) -> list[SupervisedEngine]:
        return [*self.rollout._serving, *self.rollout._new, *self.rollout._ending]

    def tick(self) -> None:
        def keep_alive(child: Child, start: Callable[[], None]) -> None:
            if child.status is not None:
                start()

        self.rollout.tick(keep_alive)

    def until(self, condition: Callable[[], T | None]) -> T:
        for _ in range(5000):
            if found := condition():
                return found
            self.tick()
        raise AssertionError("it never came")

    def loads(self, number: int) -> Load:
        """Returns what a process was last told to load."""

        def said() -> Load | None:
            return next((one for one in self.processes[number].received() if isinstance(one, Load)), None)

        return self.until(said)

    def shares_sent(self, number: int, fits: Callable[[SetShares], object]) -> SetShares:
        """Returns the next shares that a process is told and that fit."""

        def said() -> SetShares | None:
            heard = [one for one in self.processes[number].received() if isinstance(one, SetShares)]
            return next((one for one in reversed(heard) if fits(one)), None)

        return self.until(said)

    def start_new_engine(self) -> None:
        """Lets the first engine load its versions, and a second one start for a new version of `victim`."""
        self.processes[0].load(self.loads(0))
        self.tick()
        write_version(self.settings.model_store, "victim")
        self.until(lambda: len(self.processes) == 2)

    def look(self) -> None:
        """Lets a look at the store that begins from now on come to its end."""
        for _ in range(2):
            self.until(lambda: self.rollout._store._polling is not None)
            self.until(lambda: self.rollout._store._polling is None)


@contextmanager
def scene(store: Path, engines: int = 1, **settings: object) -> Iterator[Scene]:
    made = Scene(store, engines, **settings)
    try:
        yield made
    finally:
        made.rollout.close()
        for engine in made.engines:
            engine.close()
        for process in made.processes:
            process.close()


def keys(*names: str) -> set[ModelKey]:
    return {ModelKey(*name.split("/")) for name in names}

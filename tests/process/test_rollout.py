"""The supervisor's engines, in the place of whose processes the test speaks at the other end of the channel."""

import errno
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from service.process import engine_launcher, store_watch
from service.process.child import Child
from service.process.control_channel import Load, Loaded, Loading, Message, Prepared, Retire, SetShares, decode, encode
from service.process.rollout import Rollout
from service.process.supervised_engine import SupervisedEngine
from service.settings import Settings
from service.store.registry import Registry
from service.store.serving import ServingController
from service.store.serving_config import read_config
from service.telemetry.metrics import Metrics
from service.types import ModelKey, ModelState, State
from tests import faults
from tests.artifact.test_manifest import write_version
from tests.fakes import Clock

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
        return [*self.rollout._serving, *self.rollout._new, *self.rollout._leaving]

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

    def look(self) -> None:
        """Lets a look at the store that begins from now on come to its end."""
        for _ in range(2):
            self.until(lambda: self.rollout._store._look is not None)
            self.until(lambda: self.rollout._store._look is None)


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


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a store with two models, which is looked at without threads."""
    monkeypatch.setattr(store_watch, "ThreadPoolExecutor", AtOnce)
    for name in ("healthy", "victim"):
        write_version(tmp_path, name)
    return tmp_path


def keys(*names: str) -> set[ModelKey]:
    return {ModelKey(*name.split("/")) for name in names}


def test_a_version_whose_loading_kills_the_engine_three_times_is_refused_and_the_others_serve(store, caplog):
    with scene(store) as here:
        for _ in range(3):
            assert set(here.loads(0).versions) == keys("healthy/1", "victim/1")
            here.processes[0].die(loading=ModelKey("victim", "1"))
            here.tick()
        load = here.loads(0)
        assert set(load.versions) == keys("healthy/1")
        here.processes[0].load(load)
        shares = here.shares_sent(0, lambda said: said.refused)
        assert [(str(state.key), state.reason) for state in shares.refused] == [
            ("victim/1", f"the engine ended with status {CRASHED} while it loaded this version, 3 times")
        ]
        assert caplog.text.count("refused victim/1: the engine ended") == 1
        here.look()
        assert len(here.processes) == 1, "nothing else is to be loaded"


def test_deaths_at_different_versions_or_after_all_are_loaded_refuse_none(store):
    with scene(store) as here:
        for name in ("victim", "healthy", "victim", "healthy"):
            here.loads(0)
            here.processes[0].die(loading=ModelKey(name, "1"))
            here.tick()
        here.processes[0].load(here.loads(0))
        here.tick()
        for _ in range(4):
            here.processes[0].die()
            load = here.loads(0)
            assert set(load.versions) == keys("healthy/1", "victim/1")
            here.processes[0].load(load)
            here.tick()


def test_an_older_version_takes_the_place_of_one_that_kills_the_engine(store):
    write_version(store, "victim")
    with scene(store) as here:
        for _ in range(3):
            here.loads(0)
            here.processes[0].die(loading=ModelKey("victim", "2"))
            here.tick()
        here.processes[0].load(here.loads(0))
        here.until(lambda: len(here.processes) == 2)
        here.processes[1].load(here.loads(1))
        here.until(lambda: not here.rollout._new)
        assert here.rollout._serving[0].ready == keys("healthy/1", "victim/1")


def test_an_engine_that_starts_again_loads_what_is_wanted_by_then(store):
    write_version(store, "victim")
    with scene(store) as here:
        assert set(here.loads(0).versions) == keys("healthy/1", "victim/2")
        ServingController(here.settings).use("victim", "1")
        here.look()
        here.processes[0].die(loading=ModelKey("victim", "2"))
        here.tick()
        assert set(here.loads(0).versions) == keys("healthy/1", "victim/1")


def test_a_version_that_the_engine_refuses_gives_way_to_the_one_before(store):
    write_version(store, "victim")
    with scene(store) as here:
        here.processes[0].load(here.loads(0), victim="golden 1 is not what training computed")
        here.until(lambda: len(here.processes) == 2)
        load = here.loads(1)
        assert set(load.versions) == keys("healthy/1", "victim/1")
        shares = here.shares_sent(0, lambda said: said.refused)
        assert {state.key: state.reason for state in shares.refused} == {
            ModelKey("victim", "2"): "golden 1 is not what training computed"
        }
        here.processes[1].load(load)
        here.until(lambda: here.rollout._serving[0].child is cast(Child, here.processes[1]))
        assert here.rollbacks("victim") == 0, "the version that is refused has never served"


def test_a_rollback_is_counted_once_the_older_version_serves(store):
    write_version(store, "victim")
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        ServingController(here.settings).roll_back("victim")
        here.until(lambda: len(here.processes) == 2)
        assert here.rollbacks("victim") == 0
        here.processes[1].load(here.loads(1))
        here.until(lambda: here.rollbacks("victim"))
        here.look()
        assert (here.rollbacks("victim"), here.rollbacks("healthy")) == (1, 0)


def three_new_engines_die(here: Scene, *versions: str) -> Iterator[int]:
    """Lets three engines begin with these versions and die at the last of them; yields the number of each."""
    for number in (1, 2, 3):
        here.until(lambda: len(here.processes) == number + 1)  # noqa: B023 (it ends in the loop)
        assert set(here.loads(number).versions) == keys(*versions)
        here.processes[number].die(loading=ModelKey(*versions[-1].split("/")))
        here.tick()
        yield number


def test_a_version_that_kills_three_new_engines_is_refused_and_what_serves_goes_on(store):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        write_version(store, "victim")
        for _ in three_new_engines_die(here, "healthy/1", "victim/2"):
            pass
        shares = here.shares_sent(0, lambda said: said.refused)
        assert {str(state.key): state.reason for state in shares.refused} == {
            "victim/2": f"the engine ended with status {CRASHED} while it loaded this version, 3 times"
        }
        here.look()
        assert len(here.processes) == 4, "there is no fourth"
        assert here.processes[0].starts == 1
        assert here.rollout._serving[0].ready == keys("healthy/1", "victim/1")


@pytest.fixture
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a standby be started as soon as all versions are loaded."""
    monkeypatch.setattr(engine_launcher, "STANDBY_DELAY_SECONDS", 0)


def test_a_standby_takes_the_place_of_an_engine_that_dies(store, no_delay):
    with scene(store, engines=2) as here:
        for number in (0, 1):
            load = here.loads(number)
            assert load.listening == here.listening[number].fileno()
            assert here.processes[number].arguments == ()
            here.tick()
            assert len(here.processes) == 2, "an engine still loads"
            here.processes[number].load(load)
        here.until(lambda: len(here.processes) == 3)
        standby = here.processes[2]
        standby.send_to_supervisor(Prepared())
        assert standby.arguments == ("--standby",)
        assert standby.received() == []
        assert standby in here.children
        here.processes[1].die()
        load = here.loads(1)
        assert here.processes[1].taken_over == 1
        assert here.processes[1].arguments == ("--standby",)
        assert load.listening == here.listening[1].fileno()
        assert standby not in here.children
        here.look()
        assert len(here.processes) == 3, "an engine still loads"
        here.processes[1].load(load)
        here.until(lambda: len(here.processes) == 4)
        assert here.processes[0].starts == here.processes[1].starts == 1


def test_a_standby_loads_new_versions_and_the_next_one_waits_until_they_serve(store, no_delay):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.until(lambda: len(here.processes) == 2)
        here.processes[1].send_to_supervisor(Prepared())
        write_version(store, "victim")
        here.until(lambda: len(here.processes) == 3)
        load = here.loads(2)
        assert here.processes[2].taken_over == 1
        assert set(load.versions) == keys("healthy/1", "victim/2")
        here.look()
        assert len(here.processes) == 3
        here.processes[2].load(load)
        here.until(lambda: len(here.processes) == 4)
        assert here.processes[3].arguments == ("--standby",)


@pytest.mark.parametrize("dead", [True, False], ids=["has died", "still imports"])
def test_a_standby_that_cannot_take_over_at_once_is_not_used_and_another_is_started(store, no_delay, dead):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.until(lambda: len(here.processes) == 2)
        standby = here.processes[1]
        if dead:
            standby.send_to_supervisor(Prepared())
            standby.die()
        here.processes[0].die()
        here.processes[0].load(here.loads(0))
        assert (here.processes[0].starts, here.processes[0].taken_over) == (2, 0)
        assert standby.status == (CRASHED if dead else -9)
        here.until(lambda: len(here.processes) == 3)


def test_a_standby_that_dies_is_replaced(store, no_delay):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.until(lambda: len(here.processes) == 2)
        here.processes[1].die()
        here.until(lambda: len(here.processes) == 3)
        assert here.processes[2].arguments == ("--standby",)


def test_a_standby_is_started_some_time_after_the_engines(store, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(engine_launcher, "time", SimpleNamespace(monotonic=clock))
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        clock.now += engine_launcher.STANDBY_DELAY_SECONDS - 0.1
        here.tick()
        assert len(here.processes) == 1
        clock.now += 0.2
        here.tick()
        assert len(here.processes) == 2


def test_a_standby_is_killed_when_the_supervisor_stops(store, no_delay):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.until(lambda: len(here.processes) == 2)
        here.rollout.close()
        assert here.processes[1].status == -9
        assert here.children == {here.processes[0]}


def test_a_store_that_cannot_be_read_while_a_new_engine_loads_does_not_keep_it_from_serving(store, monkeypatch):
    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        write_version(store, "victim")
        here.until(lambda: len(here.processes) == 2)
        load = here.loads(1)
        with monkeypatch.context() as patch:
            patch.setattr(Registry, "keys", fail)
            here.look()
            assert here.processes[1].status is None, "it goes on loading"
            here.processes[1].load(load)
            here.until(lambda: not here.rollout._new)
            assert here.rollout._serving[0].ready == keys("healthy/1", "victim/2")
            here.look()
        here.look()
        assert len(here.processes) == 2


def test_what_the_engine_could_not_read_is_tried_again(store):
    with scene(store) as here:
        victim = ModelState(ModelKey("victim", "1"), State.REFUSED, "manifest.json is missing")
        healthy = ModelState(ModelKey("healthy", "1"), State.READY)
        here.loads(0)
        here.processes[0].send_to_supervisor(Loaded((healthy,), (victim,)))
        here.until(lambda: len(here.processes) == 2)
        load = here.loads(1)
        assert set(load.versions) == keys("healthy/1", "victim/1")
        here.processes[1].load(load)
        here.until(lambda: not here.rollout._new)
        assert here.rollout._serving[0].ready == keys("healthy/1", "victim/1")


@pytest.mark.parametrize("away", ["removed", "empty", "not listed", "not read"])
def test_a_store_that_is_away_for_a_while_changes_nothing(store, away, monkeypatch, caplog):
    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        aside = store.parent / f"{store.name}-aside"
        with monkeypatch.context() as patch:
            if away in ("removed", "empty"):
                store.rename(aside)
            if away == "empty":
                store.mkdir()
            if away == "not listed":
                patch.setattr(Registry, "keys", fail)
            if away == "not read":
                patch.setattr(store_watch, "resolve", fail)
            here.look()
            here.look()
        if away != "empty":
            assert caplog.text.count("cannot look at the model store") == 1
        if away == "empty":
            shutil.rmtree(store)
        if aside.exists():
            aside.rename(store)
        here.look()
        assert len(here.processes) == 1, "what serves was not touched"
        assert not [said for said in here.processes[0].received() if isinstance(said, SetShares) and said.refused]
        write_version(store, "victim")
        here.until(lambda: len(here.processes) == 2)


def test_the_first_default_is_kept_whatever_comes_and_goes(store):
    with scene(store) as here:
        shares = here.shares_sent(0, lambda said: True)
        assert shares.defaults == ("healthy",)
        assert read_config(store / "serving.json").defaults == {"tag": "healthy"}
        write_version(store, "a-first-by-name")
        here.processes[0].load(Load(tuple(keys("healthy/1", "victim/1")), False, 0))
        here.until(lambda: len(here.processes) == 2)
        assert here.shares_sent(1, lambda said: True).defaults == ("healthy",)
        shutil.rmtree(store / "healthy")
        here.look()
        assert here.rollout._wanted.defaults == {"tag": "healthy"}
        ServingController(here.settings).make_default("a-first-by-name")
        here.until(lambda: here.rollout._wanted.defaults == {"tag": "a-first-by-name"})
    with scene(store) as again:
        assert again.shares_sent(0, lambda said: True).defaults == ("a-first-by-name",)


def test_a_default_that_cannot_be_written_holds_while_the_process_runs(store, caplog):
    with scene(store, serving_file=str(store / "missing" / "serving.json")) as here:
        write_version(store, "a-first-by-name")
        here.look()
        assert here.rollout._wanted.defaults == {"tag": "healthy"}
        assert caplog.text.count("the default models hold as long as this process runs") == 1


def test_a_broken_version_beside_those_that_serve_starts_no_engine(store, caplog):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        faults.drop_head(write_version(store, "victim"), "xpos")
        here.until(lambda: "refused victim/2: a tagger gives upos, xpos and feats; this one has no xpos" in caplog.text)
        here.look()
        assert len(here.processes) == 1


def test_of_the_new_versions_the_one_at_whose_loading_engines_die_is_refused_alone(store):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        write_version(store, "healthy")
        write_version(store, "victim")
        for number in three_new_engines_die(here, "healthy/2", "victim/2"):
            assert here.swaps("refused") == (number == 3)
        here.until(lambda: len(here.processes) == 5)
        assert set(here.loads(4).versions) == keys("healthy/2", "victim/1")
        assert (here.refused("victim", "2"), here.refused("healthy", "2")) == (1, None)


@pytest.mark.parametrize("loading", [ModelKey("healthy", "1"), None], ids=str)
def test_an_engine_that_dies_at_no_new_version_has_all_new_versions_refused(store, loading):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        write_version(store, "victim")
        for number in (1, 2, 3):
            here.until(lambda: len(here.processes) == number + 1)  # noqa: B023 (it ends in the loop)
            here.loads(number)
            here.processes[number].die(loading)
            here.tick()
        assert here.refused("victim", "2") == 1
        assert here.refused("healthy", "1") is None


def test_engines_that_leave_are_the_supervisors_until_all_have_ended(store):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        for number in (1, 2):
            write_version(store, "victim")
            here.until(lambda: len(here.processes) == number + 1)  # noqa: B023 (it ends in the loop)
            assert len(here.rollout.children) == number + 1
            here.processes[number].load(here.loads(number))
            here.until(lambda: not here.rollout._new)
            assert here.swaps("done") == number
        assert here.children == set(here.processes)
        assert any(isinstance(said, Retire) for said in here.processes[0].received())
        assert here.cleaned_up == []
        here.processes[0].status = 0
        here.tick()
        assert here.cleaned_up == [here.processes[0]]
        assert here.children == set(here.processes[1:])


def test_an_engine_that_does_not_leave_in_time_is_killed(store, monkeypatch, caplog):
    with scene(store, drain_timeout_seconds=30.0) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        write_version(store, "victim")
        here.until(lambda: len(here.processes) == 2)
        here.processes[1].load(here.loads(1))
        here.until(lambda: not here.rollout._new)
        (leaving,) = here.rollout._leaving
        with monkeypatch.context() as patch:
            patch.setattr(time, "monotonic", lambda: leaving.retired + 34.5)
            here.tick()
            assert here.processes[0].status is None
            patch.setattr(time, "monotonic", lambda: leaving.retired + 35.5)
            here.tick()
        assert here.processes[0].status == -9
        assert here.processes[1].status is None
        assert "killed the engine, which did not end" in caplog.text
        here.tick()
        assert here.cleaned_up == [here.processes[0]]


def test_an_engine_whose_versions_are_not_wanted_any_more_has_time_to_end(store, monkeypatch, caplog):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        write_version(store, "victim")
        here.until(lambda: len(here.processes) == 2)
        monkeypatch.setattr(here.processes[1], "kill", lambda: None)
        ServingController(here.settings).use("victim", "1")
        here.until(lambda: not here.rollout._new)
        here.tick()
        assert "did not end" not in caplog.text
        assert here.children == set(here.processes)


def test_an_engine_that_dies_while_a_new_version_warms_up_serves_the_old_one_again(store):
    with scene(store) as here:
        assert not here.loads(0).beside_another
        here.processes[0].load(Load(tuple(keys("healthy/1", "victim/1")), False, 0))
        here.tick()
        write_version(store, "victim")
        here.until(lambda: len(here.processes) == 2)
        new = here.loads(1)
        assert (set(new.versions), new.beside_another) == (keys("healthy/1", "victim/2"), True)
        here.processes[0].die()
        here.tick()
        again = here.loads(0)
        assert (set(again.versions), again.beside_another) == (keys("healthy/1", "victim/1"), False)


def test_the_files_of_a_version_at_which_an_engine_died_are_verified_again(store, monkeypatch):
    verified: list[ModelKey] = []
    monkeypatch.setattr(Registry, "verify_again", lambda self, key: verified.append(key))
    with scene(store) as here:
        here.loads(0)
        here.processes[0].die(loading=ModelKey("victim", "1"))
        here.tick()
        assert verified == [ModelKey("victim", "1")]


def test_what_an_engine_refuses_is_told_at_once_all_of_it(store):
    write_version(store, "third")
    with scene(store) as here:
        here.processes[0].load(here.loads(0), healthy="no labels", victim="no head")
        here.tick()
        shares = [said for said in here.processes[0].received() if isinstance(said, SetShares)][-1]
        assert set(shares.refused) == {
            ModelState(ModelKey("healthy", "1"), State.REFUSED, "no labels", 0.0, default=False),
            ModelState(ModelKey("victim", "1"), State.REFUSED, "no head", 0.0, default=False),
        }
        assert (here.refused("healthy", "1"), here.refused("victim", "1")) == (1, 1)


def test_a_version_that_is_repaired_is_not_counted_as_refused_any_more(store):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        faults.drop_head(write_version(store, "victim"), "xpos")
        here.until(lambda: here.refused("victim", "2") == 1)
        shutil.rmtree(store / "victim" / "2")
        here.until(lambda: here.refused("victim", "2") == 0)


def test_a_rollout_that_closes_stops_to_listen(store):
    with scene(store) as here:
        here.rollout.close()
        assert [listening.fileno() for listening in here.listening] == [-1]


def test_failures_before_a_version_was_loaded_do_not_count_after_it(store):
    with scene(store) as here:
        for _ in range(2):
            for _ in range(2):
                here.loads(0)
                here.processes[0].die(loading=ModelKey("victim", "1"))
                here.tick()
            load = here.loads(0)
            assert set(load.versions) == keys("healthy/1", "victim/1")
            here.processes[0].load(load)
            here.tick()
            here.processes[0].die()
            here.tick()


def test_a_new_version_that_engines_cannot_read_three_times_is_refused(store):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        write_version(store, "victim")
        healthy = ModelState(ModelKey("healthy", "1"), State.READY)
        unread = ModelState(ModelKey("victim", "2"), State.REFUSED, "manifest.json is missing")
        for number in (1, 2, 3):
            here.until(lambda: len(here.processes) == number + 1)  # noqa: B023 (it ends in the loop)
            assert set(here.loads(number).versions) == keys("healthy/1", "victim/2")
            here.processes[number].send_to_supervisor(Loaded((healthy,), (unread,)))
            here.tick()
            assert here.processes[number].status == -9
            assert here.swaps("refused") == (number == 3), "it is tried again before"
        shares = here.shares_sent(0, lambda said: said.refused)
        assert [(str(state.key), state.reason) for state in shares.refused] == [
            ("victim/2", "manifest.json is missing, 3 times")
        ]
        here.look()
        assert len(here.processes) == 4, "there is no fourth"


def test_a_new_version_that_an_engine_refuses_ends_that_engine_and_is_counted(store):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        write_version(store, "victim")
        here.until(lambda: len(here.processes) == 2)
        here.processes[1].load(here.loads(1), victim="no head")
        here.tick()
        assert here.processes[1].status == -9
        assert (here.swaps("refused"), here.swaps("done")) == (1, 0)
        here.look()
        assert len(here.processes) == 2
        assert here.processes[0].starts == 1


def test_new_engines_take_over_when_the_last_of_them_is_ready(store):
    with scene(store, engines=2) as here:
        for number in (0, 1):
            here.processes[number].load(here.loads(number))
        here.tick()
        write_version(store, "victim")
        here.until(lambda: len(here.processes) == 4)
        assert [process.number for process in here.processes] == [0, 1, 0, 1]
        here.processes[2].load(here.loads(2))
        here.look()
        assert here.swaps("done") == 0
        here.processes[3].load(here.loads(3))
        here.until(lambda: here.swaps("done"))
        assert {engine.child for engine in here.rollout._serving} == here.children - set(here.processes[:2])


def test_engines_that_warm_up_go_on_until_the_store_changes_again(store):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        write_version(store, "victim")
        here.until(lambda: len(here.processes) == 2)
        here.look()
        assert (len(here.processes), here.processes[1].status) == (2, None)
        write_version(store, "victim")
        here.until(lambda: len(here.processes) == 3)
        assert here.processes[1].status == -9
        assert set(here.loads(2).versions) == keys("healthy/1", "victim/3")
        ServingController(here.settings).use("victim", "1")
        here.until(lambda: not here.rollout._new)
        assert here.processes[2].status == -9
        assert here.swaps("done") == 0


@pytest.mark.parametrize("others", [(), ("healthy",)], ids=str)
def test_a_model_keeps_its_shares_until_its_new_version_is_loaded(store, others):
    if not others:
        shutil.rmtree(store / "healthy")
    same = {ModelKey(name, "1"): 1.0 for name in others}
    with scene(store) as here:
        old = here.shares_sent(0, lambda said: said.shares)
        assert dict(old.shares) == same | {ModelKey("victim", "1"): 1.0}
        here.processes[0].load(Load(tuple(dict(old.shares)), False, 0))
        here.tick()
        write_version(store, "victim")
        here.until(lambda: len(here.processes) == 2)
        new = here.shares_sent(1, lambda said: said.shares)
        assert dict(new.shares) == same | {ModelKey("victim", "2"): 1.0}
        here.look()
        said = [said for said in here.processes[0].received() if isinstance(said, SetShares)]
        assert all(dict(one.shares) == dict(old.shares) for one in said)
        here.processes[1].load(Load(tuple(dict(new.shares)), True, 0))
        here.until(lambda: here.swaps("done"))
        assert dict(here.rollout._shares) == dict(new.shares)

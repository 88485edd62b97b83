"""New versions in new engines that replace those that serve, and engines that leave."""

import shutil
import time

import pytest

from service.process.control_channel import Load, Retire, SetShares
from service.store.serving import ServingController
from service.types import ModelKey
from tests.artifact.test_manifest import write_version
from tests.process.rollout_scene import keys, scene


def test_an_engine_that_starts_again_loads_what_is_wanted_by_then(store):
    write_version(store, "victim")
    with scene(store) as here:
        assert set(here.loads(0).versions) == keys("healthy/1", "victim/2")
        ServingController(here.settings).use("victim", "1")
        here.look()
        here.processes[0].die(loading=ModelKey("victim", "2"))
        here.tick()
        assert set(here.loads(0).versions) == keys("healthy/1", "victim/1")


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
        here.start_new_engine()
        here.processes[1].load(here.loads(1))
        here.until(lambda: not here.rollout._new)
        (leaving,) = here.rollout._ending
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
        here.start_new_engine()
        monkeypatch.setattr(here.processes[1], "kill", lambda: None)
        ServingController(here.settings).use("victim", "1")
        here.until(lambda: not here.rollout._new)
        here.tick()
        assert "did not end" not in caplog.text
        assert here.children == set(here.processes)


def test_a_rollout_that_closes_stops_to_listen(store):
    with scene(store) as here:
        here.rollout.close()
        assert [listening.fileno() for listening in here.listening] == [-1]


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
        here.start_new_engine()
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

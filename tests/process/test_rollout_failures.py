"""Versions at which engines die, that they refuse or cannot read."""

from collections.abc import Iterator
from typing import cast

import pytest

from service.process.child import Child
from service.process.control_channel import Load, Loaded, SetShares
from service.types import ModelKey, ModelState, State
from tests.artifact.test_manifest import write_version
from tests.process.rollout_scene import CRASHED, Scene, keys, scene


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
        here.start_new_engine()
        here.processes[1].load(here.loads(1), victim="no head")
        here.tick()
        assert here.processes[1].status == -9
        assert (here.swaps("refused"), here.swaps("done")) == (1, 0)
        here.look()
        assert len(here.processes) == 2
        assert here.processes[0].starts == 1

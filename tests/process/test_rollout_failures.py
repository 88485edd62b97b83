"""Versions at which processes die, that they refuse or cannot read."""

from itertools import pairwise

import pytest

from service.errors import ConfigurationError
from service.process.rollout import MOST_DOUBLINGS, PAUSE_SECONDS
from service.process.supervised import EXIT_MACHINE
from service.types import ModelKey
from tests.artifact.test_manifest import write_version
from tests.process.rollout_scene import CRASHED, Scene, keys, scene, serving

REASON = f"a process ended with status {CRASHED} while it loaded this version, 3 times"


def die_three_times(here: Scene, *versions: str, at: str | None) -> None:
    """Lets three processes begin with these versions, and die at one of them."""
    for _ in range(3):
        process = here.until(lambda: here.loading)[0]
        assert set(process.to_load) == keys(*versions)
        process.die(ModelKey(*at.split("/")) if at else None)
        here.tick()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_version_that_kills_processes_three_times_is_refused_and_the_others_serve(store, processes, caplog):
    with scene(store, processes) as here:
        die_three_times(here, "healthy/1", "victim/1", at="victim/1")
        assert here.refusals == {"victim/1": REASON}
        process = here.start_one()
        assert set(process.to_load) == keys("healthy/1")
        process.load()
        here.finish()
        assert caplog.text.count(f"refused victim/1: {REASON}") == 1
        assert here.refused("victim", "1") == 1
        assert here.shares == {"healthy/1": 1.0}
        assert len(here.serving) == processes
        assert here.rollouts == {}, "it is no change"


def test_deaths_at_different_versions_or_after_all_are_loaded_refuse_none(store):
    with scene(store) as here:
        here.tick()
        for name in ("victim", "healthy", "victim", "healthy"):
            here.started[-1].die(ModelKey(name, "1"))
            here.start_one()
        for _ in range(4):
            assert set(here.started[-1].to_load) == keys("healthy/1", "victim/1")
            here.started[-1].load()
            here.tick()
            here.started[-1].die()
            here.start_one()
        assert here.refusals == {}


@pytest.mark.parametrize(("processes", "at"), [(1, "victim/2"), (2, "victim/2"), (1, "healthy/1"), (1, None)])
def test_a_new_version_with_which_processes_die_is_refused_whatever_they_load_and_what_serves_goes_on(
    store, processes, at
):
    with serving(store, processes) as here:
        old = here.serving
        write_version(store, "victim")
        die_three_times(here, "healthy/1", "victim/2", at=at)
        here.look()
        assert here.running == old, "there is no fourth"
        assert here.refusals == {"victim/2": REASON}
        assert here.refused("healthy", "1") is None
        assert here.shares == {"healthy/1": 1.0, "victim/1": 1.0}
        assert (here.rollouts, here.restarts) == ({"refused": 1}, 3)


def test_of_the_new_versions_the_one_at_which_processes_die_is_refused_alone(store):
    with serving(store) as here:
        write_version(store, "healthy")
        write_version(store, "victim")
        die_three_times(here, "healthy/2", "victim/2", at="victim/2")
        assert set(here.start_one().to_load) == keys("healthy/2", "victim/1")
        here.finish()
        assert (here.refused("victim", "2"), here.refused("healthy", "2")) == (1, None)
        assert (here.rollouts, here.restarts) == ({"done": 1, "refused": 1}, 3)


def test_a_process_that_takes_the_place_of_a_dead_one_and_dies_too_refuses_no_version_that_others_serve(store):
    with serving(store, 2) as here:
        here.started[0].die()
        die_three_times(here, "healthy/1", "victim/1", at="victim/1")
        here.until(lambda: here.loading)
        assert here.refusals == {}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_new_version_that_is_refused_ends_the_process_that_tried_it_and_no_other(store, processes):
    with serving(store, processes) as here:
        old = here.serving
        write_version(store, "victim")
        trying = here.start_one()
        trying.load(victim="no head")
        here.tick()
        assert here.draining == [] or here.draining == [trying]
        assert here.shares == {"healthy/1": 1.0, "victim/1": 1.0}
        here.finish()
        assert here.running == old
        assert len(here.started) == processes + 1
        assert here.refusals == {"victim/2": "no head"}
        assert (here.rollouts, here.restarts) == ({"refused": 1}, 0)


def test_a_later_process_that_cannot_load_a_version_makes_those_that_have_it_go_back(store):
    before = {"healthy/1": 1.0, "victim/1": 1.0}
    with serving(store, 2) as here:
        write_version(store, "victim")
        first = here.start_one()
        first.load()
        here.leaving().end()
        second = here.start_one()
        second.load(victim="no memory")
        here.until(lambda: second.terminated)
        assert here.shares == before, "as during the whole rollout"
        second.end()
        back = here.start_one()
        assert set(back.to_load) == keys("healthy/1", "victim/1")
        here.finish()
        assert first not in here.running
        assert here.serving == [here.started[1], back]
        assert here.shares == before
        assert here.refusals == {"victim/2": "no memory"}
        assert here.rollouts == {"refused": 1}


def test_a_new_version_that_processes_cannot_read_is_tried_again_later_each_time_and_never_refused(store):
    with serving(store, 2) as here:
        old = here.serving
        write_version(store, "victim")
        began = []
        for _ in range(12):
            trying = here.start_one()
            began.append(here.clock.now)
            assert set(trying.to_load) == keys("healthy/1", "victim/2")
            trying.load(unread="victim")
            assert here.leaving() is trying, "not one that serves the model"
            trying.end()
        pauses = [round(later - before) for before, later in pairwise(began)]
        assert pauses == sorted(pauses)
        assert pauses[-1] == PAUSE_SECONDS * 2**MOST_DOUBLINGS
        assert here.running == old
        assert (here.refusals, here.rollouts, here.restarts) == ({}, {}, 0)
        here.start_one().load()
        here.finish()
        assert here.shares == {"healthy/1": 1.0, "victim/2": 1.0}


@pytest.mark.parametrize("status", [EXIT_MACHINE, ConfigurationError.EXIT_STATUS])
def test_faults_of_the_machine_while_a_new_version_is_loaded_refuse_none(store, status):
    with serving(store) as here:
        write_version(store, "victim")
        for _ in range(5):
            here.start_one().die(status=status)
        here.start_one().load()
        here.finish()
        assert (here.refusals, here.shares) == ({}, {"healthy/1": 1.0, "victim/2": 1.0})


def test_settings_that_were_right_end_the_service_no_more_although_no_process_serves(store):
    """The file of the keys may be away for a second."""
    with serving(store) as here:
        here.started[0].die()
        for _ in range(3):
            here.start_one().die(status=ConfigurationError.EXIT_STATUS)
        here.start_one().load()
        here.tick()
        assert here.rollout.ready


def test_what_a_process_could_not_read_is_tried_again_by_another(store):
    with scene(store, 2) as here:
        here.tick()
        here.started[0].load(unread="victim")
        here.started[1].load()
        here.finish()
        assert len(here.serving) == 2
        assert here.started[1] in here.serving
        assert all(set(process.slot.status.read().ready) == keys("healthy/1", "victim/1") for process in here.serving)
        assert here.refusals == {}

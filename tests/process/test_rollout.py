"""Processes start, are replaced when they die or stand still, and load new versions one after the other."""

import errno
import logging
import os

import pytest

from service.errors import ConfigurationError
from service.store.serving import ServingController
from service.types import State
from tests.artifact.test_manifest import write_version
from tests.process.rollout_scene import keys, scene, serving

SECOND = 20  # ticks


def test_as_many_processes_start_as_there_are_to_be_and_the_first_that_is_loaded_makes_the_service_ready(store):
    with scene(store, 3) as here:
        here.tick()
        assert [process.number for process in here.started] == [0, 1, 2]
        assert all(set(process.to_load) == keys("healthy/1", "victim/1") for process in here.started)
        assert not here.rollout.ready
        here.started[1].load()
        here.tick()
        assert here.rollout.ready
        here.load_all()
        here.look()
        assert len(here.started) == 3
        assert here.shares == {"healthy/1": 1.0, "victim/1": 1.0}
        assert here.rollouts == {}, "the first versions are no change"


def test_a_process_that_dies_is_replaced_by_another_with_the_same_versions(store, caplog):
    with serving(store, 2) as here:
        here.look()
        here.started[0].die()
        here.tick()
        assert here.cleaned_up == [0]
        again = here.started[2]
        assert again.number == 0
        assert again.to_load == here.started[1].to_load
        assert again.beside_another
        assert "process 1 ended with status -11; starting it again" in caplog.text
        again.load()
        here.look()
        assert (here.rollouts, here.restarts, len(here.started), here.refusals) == ({}, 1, 3, {})


def test_the_pause_before_a_start_doubles_with_each_death_until_a_process_is_loaded(store):
    def pause() -> float:
        here.tick()
        here.started[-1].die()
        before = here.clock.now
        here.start_one()
        return round(here.clock.now - before, 1)

    with scene(store, store_interval_seconds=0.0) as here:  # without a poll at each tick of minutes
        here.tick()
        pauses = [pause() for _ in range(8)]
        assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 32, 32], abs=0.2)
        here.started[-1].load()
        here.tick(2 * SECOND)
        here.started[-1].die()
        here.start_one()
        assert pause() == pytest.approx(1, abs=0.2), "as after the first death"
        here.started[-1].load()
        assert pause() == pytest.approx(1, abs=0.2), "from start to start, although it was loaded"


def test_a_process_that_cannot_be_started_is_logged_and_tried_again(store, caplog):
    with scene(store, 2) as here:
        here.failures = [OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))] * 3
        here.tick()
        assert caplog.messages[-1] == f"a process cannot be started: {here.failures[0]}"
        assert here.board.slots[0].state is State.STOPPED
        here.until(lambda: len(here.started) == 2)
        assert caplog.text.count("cannot be started") == 3
        assert here.restarts == 0


def test_a_configuration_error_ends_the_service_before_a_process_has_served(store):
    with scene(store, 2) as here:
        here.tick()
        here.started[0].die(status=ConfigurationError.EXIT_STATUS)
        with pytest.raises(ConfigurationError, match="process 1 cannot start; its reason is above"):
            here.tick()


def test_a_process_whose_event_loop_stands_still_for_five_seconds_of_the_supervisor_is_killed(store, caplog):
    with serving(store, 2) as here:
        here.tick(SECOND)
        still, other = here.started
        still.stands_still, still.obeys = True, False
        here.tick(5 * SECOND - 1)
        assert "has stood still" not in caplog.text
        here.tick(SECOND)
        assert caplog.text.count("the event loop of process 1 has stood still for 5 s: it is killed") == 1
        assert len(here.started) == 2, "it takes a moment to die"
        still.obeys = True
        still.kill()
        here.until(lambda: len(here.started) == 3)
        assert other.status is None


def test_a_process_that_loads_is_not_killed_where_it_lacks_processor_time(store, caplog):
    """Its successor would have as little, and load from the beginning."""
    with scene(store, 1) as here:
        here.tick(SECOND)
        (slow,) = here.started
        slow.stands_still = True
        here.tick(60 * SECOND)
        slow.stands_still = False
        slow.load()
        here.tick(SECOND)
        assert here.serving == [slow]
        assert "stood still" not in caplog.text


def test_a_machine_that_was_suspended_kills_no_process(store):
    with serving(store, 2) as here:
        for _ in range(10):
            here.clock.now += 3600
            here.tick()
        assert len(here.running) == 2


def test_a_process_that_makes_no_progress_while_it_loads_is_killed(store, caplog):
    with scene(store, store_interval_seconds=0.0) as here:
        here.tick()
        for _ in range(3):
            here.tick(120 * SECOND - 1)
            assert here.started[0].status is None
            here.started[0].slot.progress += 1
        here.tick(120 * SECOND + 2)
        assert here.started[0].status == -9
        assert "process 1 has made no progress for 120 s while it loads" in caplog.text
        again = here.start_one()
        again.load()
        here.tick(240 * SECOND)
        assert again.status is None, "one that is loaded has nothing to load"


def test_a_rollout_is_hurried_once_its_process_has_made_no_progress_until_all_serve_what_is_new(store):
    with serving(store, 2) as here:
        write_version(store, "victim")
        here.start_one()
        assert not here.service.hurried
        here.tick(121 * SECOND)
        for _ in range(2):
            here.start_one().load()
            assert here.service.hurried, "it may have had no processor"
        here.until(lambda: not here.service.hurried)
        assert len(here.running) == 2


@pytest.mark.parametrize("processes", [1, 2])
def test_a_new_version_is_loaded_by_one_process_after_the_other_and_then_switched_to(store, processes, caplog):
    caplog.set_level(logging.INFO)
    new, both = {"healthy/1": 1.0, "victim/2": 1.0}, {"healthy/1": 1.0, "victim/1": 1.0}
    with serving(store, processes) as here:
        old = here.serving
        write_version(store, "victim")
        for number in range(processes):
            coming = here.start_one()
            assert set(coming.to_load) == keys("healthy/1", "victim/2")
            assert coming.beside_another
            here.look()
            assert here.loading == [coming], "one more than usual"
            assert not here.draining
            coming.load()
            leaving = here.leaving()
            assert leaving is old[number]
            assert leaving.slot.retiring
            assert here.shares == (new if number == processes - 1 else both)
            here.look()
            assert here.loading == [], "the one that drains has not ended yet"
            leaving.end()
            here.tick()
            assert here.cleaned_up[-1] == leaving.number
            assert leaving.slot.state in (State.STOPPED, State.STARTING)
        here.look()
        assert len(here.serving) == processes
        assert here.rollouts == {"done": 1}
        assert caplog.text.count("victim/2: a process loads beside the processes that serve") == 1
        assert caplog.text.count("all processes serve healthy/1, victim/2") == 1


def test_versions_may_be_named_once_all_processes_have_them(store):
    with serving(store, 2) as here:
        ServingController(here.settings).canary("victim", "2", 0.25)
        write_version(store, "victim")
        for expected in ({"victim/1": 1.0}, {"victim/1": 0.75, "victim/2": 0.25}):
            here.start_one().load()
            leaving = here.leaving()
            assert here.shares == {"healthy/1": 1.0} | expected
            leaving.end()


def test_a_change_among_loaded_versions_needs_no_new_process(store):
    write_version(store, "victim")
    with scene(store, 2) as here:
        controller = ServingController(here.settings)
        controller.canary("victim", "1", 0.1)
        here.look()
        here.finish()
        started = len(here.started)
        assert here.service.defaults == ("healthy",)
        controller.make_default("victim")
        here.look()
        assert here.service.defaults == ("victim",)
        controller.canary("victim", "1", 0.25)
        here.look()
        assert here.shares == {"healthy/1": 1.0, "victim/1": 0.25, "victim/2": 0.75}
        controller.use("victim", "1")
        here.look()
        assert here.shares["victim/1"] == 1.0
        assert len(here.started) == started


def test_a_store_that_changes_again_ends_what_loads_and_what_is_loaded_is_replaced(store, caplog):
    caplog.set_level(logging.INFO)
    with serving(store, 2) as here:
        write_version(store, "victim")
        first = here.start_one()
        write_version(store, "victim")
        here.until(lambda: first.status == -9, ticks=5 * SECOND)
        second = here.start_one()
        assert set(second.to_load) == keys("healthy/1", "victim/3")
        assert f"{first.name}, which was loading, is ended: the store has changed again" in caplog.text
        assert "victim/3: a process loads beside the processes that serve" in caplog.text
        second.load()
        assert here.leaving() is here.started[0]
        write_version(store, "victim")
        here.finish()
        assert all(set(process.to_load) == keys("healthy/1", "victim/4") for process in here.serving)
        assert len(here.serving) == 2
        assert here.rollouts == {"done": 1, "abandoned": 2}
        assert here.shares == {"healthy/1": 1.0, "victim/4": 1.0}


def test_before_any_process_is_ready_what_loads_goes_on_although_the_store_has_changed(store):
    with scene(store, 2) as here:
        here.tick()
        write_version(store, "victim")
        here.look()
        assert here.loading == here.started[:2]
        here.started[0].load()
        here.until(lambda: here.started[1].status == -9)
        assert set(here.start_one().to_load) == keys("healthy/1", "victim/2")
        here.finish()
        assert all(set(process.to_load) == keys("healthy/1", "victim/2") for process in here.serving)


def test_a_process_that_dies_during_a_rollout_is_replaced_by_one_with_the_new_versions(store):
    with serving(store, 2) as here:
        write_version(store, "victim")
        first = here.start_one()
        here.started[0].die()
        here.look()
        assert len(here.running) == 2, "the one that loads takes its place"
        first.load()
        here.finish()
        assert len(here.serving) == 2
        assert all(set(process.to_load) == keys("healthy/1", "victim/2") for process in here.serving)
        assert (here.rollouts, here.restarts) == ({"done": 1}, 1)


def test_a_process_that_does_not_end_in_time_is_killed(store, caplog):
    with serving(store) as here:
        write_version(store, "victim")
        here.start_one().load()
        leaving = here.leaving()
        here.tick(44 * SECOND)
        assert leaving.status is None
        here.tick(2 * SECOND)
        assert leaving.status == -9
        assert f"killed {leaving.name}, which did not end" in caplog.text
        here.look()
        assert here.cleaned_up[-1] == leaving.number
        assert here.rollouts == {"done": 1}


def test_reasons_that_do_not_fit_are_left_out_and_said_once(store, monkeypatch, caplog):
    with serving(store) as here:
        monkeypatch.setattr(here.board.service, "_memory", here.board.service._memory[:450])
        write_version(store, "victim")
        here.start_one().load(victim="x" * 300)
        here.look()
        assert here.refusals == {}
        assert here.shares == {"healthy/1": 1.0, "victim/1": 1.0}
        assert caplog.text.count("the reasons why versions are refused are left out") <= 2

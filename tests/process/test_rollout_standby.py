"""A standby engine process that replaces one that dies, or loads new versions."""

from types import SimpleNamespace

import pytest

from service.process import engine_launcher
from service.process.control_channel import Prepared
from tests.artifact.test_manifest import write_version
from tests.fakes import Clock
from tests.process.rollout_scene import CRASHED, keys, scene


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

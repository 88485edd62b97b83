"""The model store while engines run: unreadable, repaired, and its default models."""

import errno
import os
import shutil

import pytest

from service.process import store_watch
from service.process.control_channel import Load, Loaded, SetShares
from service.store.registry import Registry
from service.store.serving import ServingController
from service.store.serving_config import read_config
from service.types import ModelKey, ModelState, State
from tests import faults
from tests.artifact.test_manifest import write_version
from tests.process.rollout_scene import keys, scene


def test_a_store_that_cannot_be_read_while_a_new_engine_loads_does_not_keep_it_from_serving(store, monkeypatch):
    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with scene(store) as here:
        here.start_new_engine()
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
            assert caplog.text.count("cannot read the model store") == 1
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


def test_the_files_of_a_version_at_which_an_engine_died_are_verified_again(store, monkeypatch):
    verified: list[ModelKey] = []
    monkeypatch.setattr(Registry, "verify_again", lambda self, key: verified.append(key))
    with scene(store) as here:
        here.loads(0)
        here.processes[0].die(loading=ModelKey("victim", "1"))
        here.tick()
        assert verified == [ModelKey("victim", "1")]


def test_a_version_that_is_repaired_is_not_counted_as_refused_any_more(store):
    with scene(store) as here:
        here.processes[0].load(here.loads(0))
        here.tick()
        faults.drop_head(write_version(store, "victim"), "xpos")
        here.until(lambda: here.refused("victim", "2") == 1)
        shutil.rmtree(store / "victim" / "2")
        here.until(lambda: here.refused("victim", "2") == 0)

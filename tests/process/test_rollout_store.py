"""The model store while processes run: unreadable, repaired, and its default models."""

import errno
import os
import shutil

import pytest

from service.errors import ConfigurationError
from service.process import store_watch
from service.process.store_watch import StoreWatch
from service.settings import Settings
from service.store.registry import Registry
from service.store.serving import ServingController
from service.store.serving_config import read_serving
from service.types import ModelKey, State
from tests.artifact.test_manifest import write_version
from tests.process.rollout_scene import Scene, keys, scene, serving


def fail(*arguments: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("away", ["removed", "empty", "not listed", "not read"])
def test_a_store_that_is_away_for_a_while_changes_nothing(store, away, monkeypatch, caplog):
    with serving(store, 2) as here:
        here.look()
        served, aside = here.shares, store.parent / f"{store.name}-aside"
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
            assert here.shares == served
        if away != "empty":
            assert caplog.text.count("cannot read the model store") == 1
        if away == "empty":
            shutil.rmtree(store)
        if aside.exists():
            aside.rename(store)
        here.look()
        assert here.serving == here.started[:2], "what serves was not touched"
        assert here.refusals == {}
        write_version(store, "victim")
        assert set(here.start_one().to_load) == keys("healthy/1", "victim/2")


def test_a_model_that_is_deleted_serves_until_a_process_starts_without_it(store):
    with serving(store, 2) as here:
        shutil.rmtree(store / "victim")
        here.look()
        assert here.shares == {"healthy/1": 1.0, "victim/1": 1.0}
        here.started[0].die()
        assert set(here.start_one().to_load) == keys("healthy/1")
        here.finish()
        assert here.shares == {"healthy/1": 1.0}


def test_the_first_default_is_kept_whatever_comes_and_goes(store):
    with scene(store) as here:
        assert here.service.defaults == ("healthy",)
        assert read_serving(Settings(model_store=store)).defaults == {"tag": "healthy"}
        write_version(store, "a-first-by-name")
        here.load_all()
        here.start_one()
        assert here.service.defaults == ("healthy",)
        shutil.rmtree(store / "healthy")
        (store / "serving.json").unlink()
        here.look()
        assert here.service.defaults == ("healthy",)
        assert read_serving(Settings(model_store=store)).defaults == {"tag": "healthy"}
        ServingController(here.settings).make_default("a-first-by-name")
        here.until(lambda: here.service.defaults == ("a-first-by-name",))
    write_version(store, "a")
    with scene(store) as again:
        assert again.service.defaults == ("a-first-by-name",)


def test_a_default_that_cannot_be_written_holds_while_the_process_runs(store, caplog):
    with scene(store, serving_file="/proc/nowhere/serving.json") as here:
        write_version(store, "a-first-by-name")
        here.look()
        assert here.service.defaults == ("healthy",)
        assert caplog.text.count("the default models hold as long as this process runs") == 1


def test_a_serving_config_that_cannot_be_read_changes_nothing_and_is_said_once_each_time(store, caplog):
    with serving(store) as here:
        config = store / "serving.json"
        before = config.read_text()
        for times in (1, 2):
            config.write_text("{")
            here.look()
            assert here.shares == {"healthy/1": 1.0, "victim/1": 1.0}
            assert caplog.text.count("the previous serving config stays in effect") == times
            config.write_text(before)
            here.look()


def test_a_canary_that_is_not_in_the_store_yet_is_said_once(store, caplog):
    caplog.set_level("INFO", "tagwerk.supervisor")
    (store / "serving.json").write_text('{"models": {"victim": {"canary": {"version": "2", "share": 0.5}}}}')
    with serving(store) as here:
        here.look()
        assert here.shares == {"healthy/1": 1.0, "victim/1": 1.0}
        assert caplog.text.count("victim/2 is awaited") == 1


def test_a_version_that_a_process_refused_is_tried_again_once_its_files_have_changed(store):
    with serving(store) as here:
        folder = write_version(store, "victim")
        here.start_one().load(victim="no head")
        here.leaving().end()
        here.look()
        assert len(here.started) == 2
        os.utime(folder / "words.json", ns=(1, 1))
        assert set(here.start_one().to_load) == keys("healthy/1", "victim/2")


@pytest.mark.parametrize(("processes", "loaded"), [(1, False), (2, False), (2, True)])
@pytest.mark.parametrize(("change", "result"), [("removed", "abandoned"), ("altered", "refused")])
def test_a_rollout_whose_version_is_removed_or_altered_meanwhile_is_not_done(store, processes, loaded, change, result):
    """The process that loads it has all other versions, so it need not be replaced."""
    with serving(store, processes) as here:
        folder = write_version(store, "added")
        coming = here.start_one()
        if loaded:
            coming.load()
            here.leaving().end()
        if change == "removed":
            shutil.rmtree(folder.parent)
        else:
            (folder / "words.json").write_text("[]")
        here.look()
        here.finish()
        assert here.rollouts == {result: 1}
        assert here.shares == {"healthy/1": 1.0, "victim/1": 1.0}
        write_version(store, "victim")
        here.start_one()
        here.finish()
        assert here.rollouts == {result: 1, "done": 1}


def test_a_rollout_is_not_done_where_processes_go_back_to_what_was_before(store):
    with serving(store, 2) as here:
        write_version(store, "victim")
        here.start_one().load()
        here.leaving().end()
        ServingController(here.settings).use("victim", "1")
        here.look()
        here.finish()
        assert here.rollouts == {"abandoned": 1}
        assert here.shares == {"healthy/1": 1.0, "victim/1": 1.0}


@pytest.mark.parametrize("interval", [0.0, 3600.0])
def test_a_refusal_is_followed_by_a_poll_at_once(store, interval):
    watch = StoreWatch(Settings(model_store=store, store_interval_seconds=interval))
    assert watch.poll() is None
    assert not watch.polling
    watch.refuse(ModelKey("victim", "1"), "no head")
    assert watch.polling
    assert watch.poll() is None
    assert watch.polling
    found = watch.poll()
    assert found is not None
    assert set(found.shares) == keys("healthy/1")
    assert not watch.polling
    watch.verify_again(ModelKey("victim", "1"))
    assert watch.polling


@pytest.mark.parametrize("interval", [0.0, 3600.0])
def test_a_change_of_the_serving_config_is_followed_at_once_where_the_store_is_polled(store, interval):
    watch = StoreWatch(Settings(model_store=store, store_interval_seconds=interval))
    os.utime(store / "serving.json", ns=(1, 1))
    found = [watch.poll() for _ in range(4)]
    assert [one is not None for one in found] == [False, interval > 0, False, False]


@pytest.mark.parametrize("missing", ["folder", "versions"])
def test_a_store_that_is_missing_or_empty_at_the_start_is_an_error(tmp_path, missing):
    place = tmp_path / "none"
    if missing == "versions":
        place.mkdir()
    with pytest.raises(ConfigurationError, match="model store"):
        StoreWatch(Settings(model_store=place))


def state_of(here: Scene, name: str) -> tuple[str, str | None]:
    """Returns the state of a version as /models has it, and the reason."""
    (found,) = (one for one in here.board.model_states() if str(one.key) == name)
    return found.state, found.reason


def test_a_version_that_serves_says_why_its_changed_files_are_refused_until_they_are_restored(store, caplog):
    caplog.set_level("INFO", "tagwerk.supervisor")
    with serving(store) as here:
        words = store / "victim" / "1" / "words.json"
        before = words.read_text()
        words.write_text("[]")
        here.look()
        assert here.shares == {"healthy/1": 1.0, "victim/1": 1.0}
        assert state_of(here, "victim/1") == (
            State.READY,
            "words.json is altered (checksum differs from the manifest's)",
        )
        assert caplog.text.count("refused victim/1: words.json is altered") == 1
        words.write_text(before)
        here.look()
        assert state_of(here, "victim/1") == (State.READY, None)
        assert caplog.text.count("victim/1 is not refused any more") == 1


def test_each_change_of_what_serves_is_a_line(store, caplog):
    caplog.set_level("INFO", "tagwerk.supervisor")
    for _ in range(2):
        write_version(store, "victim")
    with serving(store) as here:
        controller = ServingController(here.settings)
        by = f"({store / 'serving.json'}, written by the user {store.owner()})"
        none = "no version, unless TAGWERK_LOAD names the model"
        caplog.clear()
        for change, line in (
            (
                lambda: (store / "serving.json").write_text('{"models": {"victim": {"load": false}}}'),
                f"victim: serves {none}; before: the newest version {by}",
            ),
            (lambda: controller.use("victim", "2"), f"victim: serves version 2; before: {none} {by}"),
            (lambda: controller.roll_back("victim"), f"victim: serves version 1; before: version 2 {by}"),
            (
                lambda: controller.canary("victim", "3", 0.1),
                f"victim: serves version 1, 10% of the requests to 3; before: version 1 {by}",
            ),
            (lambda: controller.make_default("victim"), f"the default model for tag is victim; before: healthy {by}"),
        ):
            change()
            here.look()
            here.finish()
            assert [one.getMessage() for one in caplog.records if "before: " in one.getMessage()] == [line]
            caplog.clear()

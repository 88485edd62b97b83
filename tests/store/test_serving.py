"""Which versions are loaded and which share of the requests each has: from the store and from what was chosen."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from service.__main__ import main
from service.errors import ConfigurationError, ModelNotFound, NotPossible
from service.settings import Settings
from service.store.registry import Registry
from service.store.serving import ServingController, resolve, write_defaults
from service.store.serving import served as chosen_to_serve
from service.store.serving_config import Canary, ModelServing, ServingConfig, change_serving, read_serving
from tests.artifact.test_manifest import write_version

PINNED = ModelServing(version="1")
ALTERED = "words.json is altered (checksum differs from the manifest's)\n"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Returns a store with three versions of a model."""
    for _ in range(3):
        write_version(tmp_path)
    return tmp_path


def served(store: Path, **settings) -> tuple[dict[str, float], dict[str, str]]:
    """Returns the shares and the reasons, by version."""
    serving = resolve(Registry(store), read_serving(Settings(model_store=store, **settings)))
    shares = {key.version: round(share, 6) for key, share in serving.shares.items()}
    return shares, {key.version: reason for key, reason in serving.refused.items()}


def test_the_newest_sound_version_serves(store):
    assert served(store) == ({"3": 1.0}, {})
    (store / "tagger-en/3/words.json").unlink()
    shares, refused = served(store)
    assert shares == {"2": 1.0}
    assert "words.json is missing" in refused["3"]


def test_a_version_that_was_chosen_serves_whatever_newer_ones_there_are(store):
    controller = ServingController(Settings(model_store=store))
    controller.use("tagger-en", "2")
    assert served(store) == ({"2": 1.0}, {})
    (store / "tagger-en/2/words.json").write_text("[]")
    shares, refused = served(store)
    assert shares == {"1": 1.0}, "not the newer one, against which it was chosen"
    assert "altered" in refused["2"]


def test_a_model_that_need_not_be_loaded_is_once_it_is_named_or_chosen(store):
    settings = Settings(model_store=store)
    (store / "serving.json").write_text('{"models": {"tagger-en": {"load": false}}}')
    assert served(store) == ({}, {})
    assert resolve(Registry(store), read_serving(settings)).defaults == {}
    named = resolve(Registry(store, only=["tagger-en"]), read_serving(settings))
    assert [str(key) for key in named.shares] == ["tagger-en/3"]
    versions, _ = chosen_to_serve(settings, every_model=True)
    assert [version.key.version for version in versions] == ["3"], "for programs that load what they are asked for"
    ServingController(settings).make_default("tagger-en")
    assert served(store) == ({"3": 1.0}, {})
    (store / "serving.json").write_text('{"models": {"tagger-en": {"load": false}}}')
    ServingController(settings).use("tagger-en", None)
    assert served(store) == ({"3": 1.0}, {})


def test_a_canary_has_its_share_once_it_is_there(store):
    controller = ServingController(Settings(model_store=store))
    controller.canary("tagger-en", "4", 0.25)
    assert served(store) == ({"3": 1.0}, {}), "not refused"
    write_version(store)
    assert served(store) == ({"3": 0.75, "4": 0.25}, {})
    controller.canary("tagger-en", "4", 0)
    assert served(store) == ({"3": 1.0}, {})
    controller.use("tagger-en", None)
    assert served(store) == ({"4": 1.0}, {})


def test_rolling_back_goes_to_the_sound_version_before(store):
    write_version(store)
    (store / "tagger-en/2/words.json").unlink()
    controller = ServingController(Settings(model_store=store))
    assert [controller.roll_back("tagger-en").version for _ in range(2)] == ["3", "1"]
    assert served(store)[0] == {"1": 1.0}
    with pytest.raises(ModelNotFound, match="no valid version of tagger-en before 1"):
        controller.roll_back("tagger-en")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Invalid JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", "Input should be an object"),
        ('{"tagger-en": {"version": 2}}', "tagger-en: Extra inputs are not permitted"),
        ('{"models": {"a": {"version": "x"}}}', "models/a/version: String should match pattern '^[0-9]+$'"),
        ('{"models": {"a": {"canary": {"version": "3"}}}}', "models/a/canary/share: Field required"),
        ('{"defaults": {"sing": "a"}}', "defaults/sing/[key]: Input should be 'tag', 'classify' or 'generate'"),
        ('{"defaults": ["tag"]}', "defaults: Input should be an object"),
    ],
)
def test_a_file_of_choices_that_is_wrong_is_named(store, content, reason):
    (store / "serving.json").write_text(content)
    with pytest.raises(ConfigurationError) as raised:
        read_serving(Settings(model_store=store))
    assert str(raised.value).startswith(f"{store / 'serving.json'} cannot be read: {reason}")
    assert "\n" not in str(raised.value)


def test_what_was_chosen_is_read_as_it_was_written(tmp_path):
    chosen = {"a": ModelServing(version="2", canary=Canary(version="3", share=0.5)), "b": ModelServing(version="1")}
    config = ServingConfig(models=chosen, defaults={"tag": "a"})
    written = config.model_copy(update={"models": chosen | {"c": ModelServing()}})
    assert change_serving(Settings(model_store=tmp_path), lambda before: written) == config
    assert read_serving(Settings(model_store=tmp_path)) == config
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == ["serving.json"]


def test_a_default_lemmatizer_of_before_is_ignored_and_the_others_hold(store):
    path = store / "serving.json"
    path.write_text('{"models": {}, "defaults": {"lemmatize": "lemmas-en", "tag": "tagger-en"}}')
    assert read_serving(Settings(model_store=store)) == ServingConfig(defaults={"tag": "tagger-en"})
    assert served(store) == ({"3": 1.0}, {})
    ServingController(Settings(model_store=store)).use("tagger-en", "2")
    assert json.loads(path.read_text()) == {
        "models": {"tagger-en": {"version": "2"}},
        "defaults": {"tag": "tagger-en"},
    }


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotPossible, match="set TAGWERK_SERVING_FILE"):
        change_serving(
            Settings(model_store=tmp_path, serving_file=str(tmp_path / "file" / "serving.json")), lambda before: before
        )


def rows(output: str) -> list[list[str]]:
    """Returns the words of each line."""
    return [line.split() for line in output.splitlines()]


@pytest.fixture
def run(store, monkeypatch, capsys):
    """Returns a function that runs `tagwerk models`, and returns its status and what it prints."""

    def run(*arguments: str) -> tuple[int, str]:
        status = main(["models", *arguments])
        return status, "".join(capsys.readouterr())

    monkeypatch.setenv("TAGWERK_MODEL_STORE", str(store))
    return run


def test_the_command_lists_and_chooses(store, run):
    assert ["tagger-en", "3", "serves", "100%", "tag"] in rows(run()[1])
    assert run("use", "tagger-en/2")[0] == 0
    listed = rows(run("list")[1])
    assert ["tagger-en", "2", "serves", "100%", "tag"] in listed
    assert ["tagger-en", "3", "not", "loaded"] in listed
    assert "tagger-en: version 1 serves" in run("rollback", "tagger-en")[1]
    assert "10% of the requests go to 3" in run("canary", "tagger-en/3", "0.1")[1]
    assert ["tagger-en", "3", "serves", "10%", "tag"] in rows(run()[1])
    assert json.loads((store / "serving.json").read_text()) == {
        "models": {"tagger-en": {"version": "1", "canary": {"version": "3", "share": 0.1}}},
        "defaults": {},
    }
    assert run("use", "tagger-en")[0] == 0
    assert json.loads((store / "serving.json").read_text()) == {"models": {}, "defaults": {}}
    assert run("use", "tagger-en/9") == (1, "tagwerk: tagger-en has no version '9' in the store; there is: 3, 2, 1\n")
    assert run("use", "nobody/1")[1] == "tagwerk: no model 'nobody' is in the store; there is: tagger-en\n"
    for wrong in (("tagger-en", "0.1"), ("tagger-en/3", "2"), ("tagger-en/3", "some")):
        with pytest.raises(SystemExit):
            run("canary", *wrong)
    (store / "tagger-en/3/words.json").unlink()
    status, output = run()
    assert status == 1
    assert ["tagger-en", "3", "refused", "words.json", "is", "missing"] in rows(output)


def test_a_read_only_store_is_changed_in_a_file_elsewhere_that_begins_as_the_stores(store, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("serving") / "serving.json"
    given = '{"models": {"tagger-en": {"version": "2"}}, "defaults": {"tag": "tagger-en"}}'
    (store / "serving.json").write_text(given)
    assert served(store, serving_file=str(elsewhere)) == ({"2": 1.0}, {})
    ServingController(Settings(model_store=store, serving_file=str(elsewhere))).roll_back("tagger-en")
    assert served(store, serving_file=str(elsewhere)) == ({"1": 1.0}, {})
    assert json.loads(elsewhere.read_text())["defaults"] == {"tag": "tagger-en"}
    assert (store / "serving.json").read_text() == given


def test_changes_at_the_same_time_lose_none(store):
    """Half of 200 such pairs lost one without a lock."""
    barrier = Barrier(2, timeout=30)

    def put(name: str, config: ServingConfig) -> ServingConfig:
        return config.model_copy(update={"models": {**config.models, name: PINNED}})

    def add(name: str) -> None:
        for number in range(30):
            barrier.wait()
            change_serving(Settings(model_store=store), partial(put, f"{name}-{number}"))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, ("a", "b")))
    assert read_serving(Settings(model_store=store)).models == {
        f"{name}-{number}": PINNED for name in "ab" for number in range(30)
    }


def test_a_lock_that_another_process_keeps_is_said(store):
    def meanwhile(before: ServingConfig) -> ServingConfig:
        with pytest.raises(NotPossible, match="another process is changing"):
            change_serving(Settings(model_store=store), lambda config: config, lock_seconds=0)
        return before

    change_serving(Settings(model_store=store), meanwhile)


def test_what_is_refused_is_not_chosen(store, run):
    (store / "tagger-en/3/words.json").write_text("[]")
    for arguments in (["use", "tagger-en/3"], ["canary", "tagger-en/3", "0.5"]):
        assert run(*arguments) == (1, "tagwerk: tagger-en/3 cannot serve: " + ALTERED)
        assert not (store / "serving.json").exists()
    assert "tagger-en: version 2 serves" in run("use", "tagger-en")[1], "the newest that is sound"
    assert "50% of the requests go to 9 once it is in the store" in run("canary", "tagger-en/9", "0.5")[1]


def test_the_default_of_a_task_is_shown_and_set(store, run):
    write_version(store, "a-tagger")
    assert "a-tagger is the default for tag, the first by name, as long as none is set" in run()[1]
    assert run("default", "tagger-en")[1].startswith("tagger-en answers requests for tag that name no model")
    listed = run()[1]
    assert ["tagger-en", "3", "serves", "100%", "tag"] in rows(listed)
    assert "is the default" not in listed, "none is undecided"
    assert run("default", "nobody")[0] == 1
    (store / "a-tagger/1/words.json").unlink()
    assert run("default", "a-tagger") == (
        1,
        "tagwerk: no version of a-tagger in the store is valid, so its task is not known\n",
    )


def test_a_service_may_load_some_of_the_models(store):
    for name in ("a", "tagger-fr"):
        write_version(store, name)
    change_serving(Settings(model_store=store), lambda before: ServingConfig(defaults={"tag": "tagger-en"}))
    for load, expected in ((("tagger-fr",), "tagger-fr"), (("a", "tagger-en"), "tagger-en"), ((), "tagger-en")):
        settings = Settings(model_store=store, load=load)
        versions, defaults = chosen_to_serve(settings)
        assert {version.key.name for version in versions} == set(load or ("a", "tagger-en", "tagger-fr"))
        assert (versions[0].key.name, defaults) == (expected, {"tag": expected}), "the default model is first"
    (store / "serving.json").unlink()
    some = Settings(model_store=store, load=("tagger-en",))
    write_defaults(some, resolve(Registry(store, (), some.load), ServingConfig()), ServingConfig())
    assert read_serving(some) == ServingConfig(), "other services may load others"


def test_a_model_to_load_that_is_not_in_the_store_is_an_error(store):
    with pytest.raises(ConfigurationError, match=r"TAGWERK_LOAD names tager-en; in the store .* is: tagger-en"):
        chosen_to_serve(Settings(model_store=store, load=("tagger-en", "tager-en")))

"""Which versions are loaded and which share of the requests each has: from the store and from what was chosen."""

import json
from pathlib import Path

import pytest

from service.__main__ import main
from service.engine.protocol import ModelKey
from service.errors import ConfigurationError, ModelNotFound, NotPossible
from service.registry import Registry
from service.serving import Canary, Choice, Choices, Desk, read_choices, resolve, serving_path, write_choices
from service.settings import Settings
from tests.test_artifact import write_version


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Returns a store with three versions of a model."""
    for _ in range(3):
        write_version(tmp_path)
    return tmp_path


def served(store: Path, **settings) -> tuple[dict[str, float], dict[str, str]]:
    """Returns the shares and the reasons, by version."""
    made = Settings(model_store=store, **settings)
    serving = resolve(Registry(store), read_choices(serving_path(made)), made)
    shares = {key.version: round(share, 6) for key, share in serving.shares.items()}
    return shares, {state.key.version: state.reason or "" for state in serving.refused}


def test_the_newest_sound_version_serves(store):
    assert served(store) == ({"3": 1.0}, {})
    (store / "tagger-en/3/words.json").unlink()
    shares, refused = served(store)
    assert shares == {"2": 1.0}
    assert "words.json is missing" in refused["3"]


def test_the_last_versions_stay_loaded(store):
    assert served(store, keep_versions=2) == ({"3": 1.0, "2": 0.0}, {})
    assert served(store, keep_versions=9) == ({"3": 1.0, "2": 0.0, "1": 0.0}, {})


def test_a_pinned_version_serves_whatever_newer_ones_there_are(store):
    assert served(store, pins=("tagger-en/2",)) == ({"2": 1.0}, {})
    assert served(store, pins=("tagger-en/2",), keep_versions=2) == ({"2": 1.0, "3": 0.0}, {})
    (store / "tagger-en/2/words.json").write_text("[]")
    shares, refused = served(store, pins=("tagger-en/2",))
    assert shares == {"1": 1.0}, "not the newer one, against which it was pinned"
    assert "altered" in refused["2"]
    shares, refused = served(store, pins=("tagger-en/9",))
    assert (shares, refused) == ({"3": 1.0}, {"9": "it is not in the store"})


def test_a_canary_has_its_share_once_it_is_there(store):
    desk = Desk(Settings(model_store=store))
    desk.canary("tagger-en", "4", 0.25)
    assert served(store) == ({"3": 1.0}, {"4": "it is not in the store"})
    write_version(store)
    assert served(store) == ({"3": 0.75, "4": 0.25}, {})
    desk.canary("tagger-en", "4", 0)
    assert served(store) == ({"3": 1.0}, {})
    desk.use("tagger-en", None)
    assert served(store) == ({"4": 1.0}, {})


def test_a_canary_of_what_serves_now_leaves_the_rest_to_the_version_before(store):
    Desk(Settings(model_store=store)).canary("tagger-en", "3", 0.1)
    assert served(store) == ({"2": 0.9, "3": 0.1}, {})


def test_rolling_back_goes_to_the_sound_version_before(store):
    write_version(store)
    (store / "tagger-en/2/words.json").unlink()
    desk = Desk(Settings(model_store=store))
    assert [desk.roll_back("tagger-en").version for _ in range(2)] == ["3", "1"]
    assert served(store)[0] == {"1": 1.0}
    with pytest.raises(ModelNotFound, match="no sound version of tagger-en before 1"):
        desk.roll_back("tagger-en")


def test_a_version_that_an_engine_refused_is_tried_again_when_its_files_change(store):
    registry, key = Registry(store), ModelKey("tagger-en", "3")
    assert registry.fault(key) is None
    registry.refuse(key, "golden 1 is not what training computed")
    assert "golden 1" in str(registry.fault(key))
    (store / "tagger-en/3/manifest.json").touch()
    assert registry.fault(key) is None


def test_a_version_that_is_half_copied_is_refused_until_it_is_complete(store):
    registry, key = Registry(store), ModelKey("tagger-en", "3")
    whole = (store / "tagger-en/3/goldens.jsonl").read_bytes()
    (store / "tagger-en/3/goldens.jsonl").write_bytes(whole[:10])
    assert "goldens.jsonl is altered" in str(registry.fault(key))
    (store / "tagger-en/3/goldens.jsonl").write_bytes(whole)
    assert registry.fault(key) is None


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"tagger-en": {"version": 2}}', '{"tagger-en": {"verzion": "2"}}', '{"a": {"version": "x"}}'],
)
def test_a_file_of_choices_that_is_wrong_is_named(store, content):
    (store / "serving.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"serving\.json cannot be read"):
        read_choices(store / "serving.json")


def test_choices_are_read_as_they_were_written(tmp_path):
    choices = {"a": Choice(version="2", canary=Canary(version="3", share=0.5)), "b": Choice(version="1")}
    write_choices(tmp_path / "serving.json", choices | {"c": Choice()})
    assert read_choices(tmp_path / "serving.json") == choices
    assert Choices.model_validate_json((tmp_path / "serving.json").read_text()).root == choices
    assert [p.name for p in tmp_path.iterdir()] == ["serving.json"]


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(NotPossible, match="set TAGWERK_SERVING_FILE"):
        write_choices(tmp_path / "missing" / "serving.json", {})


def test_the_command_lists_and_chooses(store, monkeypatch, capsys):
    def run(*arguments: str) -> tuple[int, str]:
        status = main(["models", *arguments])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    monkeypatch.setenv("TAGWERK_MODEL_STORE", str(store))
    assert "tagger-en/3  tag: for tests [100% of the requests]" in run()[1]
    assert run("use", "tagger-en/2")[0] == 0
    assert "tagger-en/2  tag: for tests [100% of the requests]" in run("list")[1]
    assert "tagger-en: 1 serves" in run("rollback", "tagger-en")[1]
    assert "10% of the requests to 3" in run("canary", "tagger-en/3", "0.1")[1]
    assert json.loads((store / "serving.json").read_text()) == {
        "tagger-en": {"version": "1", "canary": {"version": "3", "share": 0.1}}
    }
    assert run("use", "tagger-en")[0] == 0
    assert json.loads((store / "serving.json").read_text()) == {}
    assert run("use", "tagger-en/9") == (1, "tagwerk: tagger-en has no version '9' in the store; there is: 3, 2, 1\n")
    assert run("use", "nobody/1")[1] == "tagwerk: no model 'nobody' is in the store; there is: tagger-en\n"
    for wrong in (("tagger-en", "0.1"), ("tagger-en/3", "2"), ("tagger-en/3", "some")):
        with pytest.raises(SystemExit):
            run("canary", *wrong)
    (store / "tagger-en/3/words.json").unlink()
    status, output = run()
    assert status == 1
    assert "tagger-en/3  refused:" in output
    monkeypatch.setenv("TAGWERK_PINS", "tagger-en/1")
    assert run("use", "tagger-en/2") == (1, "tagwerk: TAGWERK_PINS says which version of tagger-en serves\n")

"""Every place where the service reads a model folder fails in turn: one version is refused, the others serve."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.artifact.manifest import read_manifest
from service.errors import ArtifactError, ConfigurationError
from service.settings import Settings
from service.store.registry import Registry, load_version
from service.store.serving import resolve
from service.store.serving_config import ServingConfig, read_serving
from service.types import ModelKey
from tests import faults
from tests.artifact.test_manifest import RULES, write_version
from tests.conftest import STORE
from tests.faults import Fault
from training.run.version_folder import checksums

FILES = ("manifest.json", "words.json", "characters.json", "goldens.jsonl", "saved_model/saved_model.pb")
PARSED = ("manifest.json", "words.json", "characters.json")
VICTIM, HEALTHY = ModelKey("victim", "1"), ModelKey("healthy", "1")
CONTENTS = [
    ("words.json", b'{"lowercase": 1, "entries": []}', "Expected `bool`, got `int` - at `$.lowercase`"),
    ("words.json", b'{"lowercase": true, "entries": [1]}', "Expected `str`, got `int`"),
    ("words.json", b'{"lowercase": true, "entries": ["a", "a"]}', "each entry once"),
    ("words.json", b'{"lowercase": true, "entries": ["\\ud800"]}', "truncated"),
    ("words.json", b"\xff", "cannot be read"),
    ("tokenizer.json", b"[]", "Expected `object`, got `array`"),
]
FAULTS = [
    *(fault for name in FILES for fault in faults.of_file(name)),
    *(fault for name in ("words.json", "characters.json") for fault in faults.of_contents(name)),
    *(Fault(f"{name}: {reason}", faults.contents(name, text), re.escape(reason)) for name, text, reason in CONTENTS),
    *faults.MANIFEST,
]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Returns a store with two models."""
    write_version(tmp_path, "victim")
    write_version(tmp_path, "healthy")
    return tmp_path


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_version_with_a_fault_is_refused_with_its_reason_and_nothing_else_is(store, fault):
    fault.harm(store / "victim/1")
    with pytest.raises(ArtifactError, match=fault.reason):
        load_version(store / "victim/1")
    serving = resolve(Registry(store), ServingConfig())
    assert list(serving.shares) == [HEALTHY]
    ((key, reason),) = serving.refused.items()
    assert key == VICTIM
    assert reason.isprintable()
    assert len(reason) <= ArtifactError.MAX_CHARACTERS + 1
    if any(name in fault.reason for name in PARSED):  # a server process verifies what it parses, too
        with pytest.raises(ArtifactError):
            load_version(store / "victim/1", whole=False)


def fails_at(name: str) -> Callable[..., int]:
    """Returns `os.open`, but for an error of the disk at files of a name."""
    real = os.open

    def failing(path: str, *arguments: Any, **more: Any) -> int:
        if str(path).endswith(f"victim/1/{name}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path, *arguments, **more)

    return failing


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_read_is_read_again_at_the_next_look(store, name, monkeypatch):
    registry = Registry(store)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fails_at(name))
        assert registry.fault(VICTIM) == f"{name} cannot be read: Input/output error"
        assert registry.fault(HEALTHY) is None
    assert registry.fault(VICTIM) is None


def test_a_model_whose_folder_cannot_be_listed_leaves_the_others(store, monkeypatch, caplog):
    real = Path.iterdir

    def failing(path: Path):
        if path.name == "victim":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path)

    monkeypatch.setattr(Path, "iterdir", failing)
    registry = Registry(store)
    for _ in range(3):
        assert list(registry.keys()) == ["healthy"]
    assert caplog.text.count("the folder of the model 'victim' cannot be listed: [Errno 13] Permission denied") == 1


def test_odd_names_in_a_store_are_no_models(store):
    for name in (b"a\xffb", b"a\nb", b".hidden"):
        (store / os.fsdecode(name) / "1").mkdir(parents=True)
    for version in ("007", "1a", "٣", "9" * 200):
        (store / "victim" / version).mkdir()
    assert Registry(store).keys() == {"healthy": [HEALTHY], "victim": [VICTIM]}


LEMMAS: dict[str, Any] = {"characters": "", "irregular": {}, "lexicon": {}, "dictionary": {}}


def write_lemmas(folder: Path, **changes: object) -> None:
    """Writes lemmas.json, and lets the manifest list it."""
    (folder / "lemmas.json").write_text(json.dumps(LEMMAS | changes))
    faults.rewrite_manifest(folder, files=checksums(folder))


def remove_lemmas(folder: Path) -> None:
    (folder / "lemmas.json").unlink()
    faults.rewrite_manifest(folder, files=checksums(folder))


def without_next_rules(folder: Path) -> None:
    endpoints = json.loads((folder / "manifest.json").read_text())["endpoints"]
    del endpoints["tag_from_table"]["outputs"]["lemma_id_2"]
    faults.rewrite_manifest(folder, endpoints=endpoints)


def without_parts(folder: Path) -> None:
    endpoints = json.loads((folder / "manifest.json").read_text())["endpoints"]
    faults.rewrite_manifest(folder, endpoints={"tag": endpoints["tag"]})


LEMMA_FAULTS = [
    *faults.of_file("lemmas.json"),
    *faults.of_contents("lemmas.json"),
    Fault("other parts", lambda f: write_lemmas(f, more={}), "unknown field `more`"),
    Fault(
        "no packed words", lambda f: write_lemmas(f, lexicon={"NOUN": {"lower": "house"}}), "no packed word is 'house'"
    ),
    Fault("not listed", remove_lemmas, "there is no lemmas.json, which a tagger with lemma rules needs"),
    Fault("no rule", lambda f: faults.change_labels(f, lemma=["a", "b", "c"]), "no lemma rule is 'a'; one is"),
    Fault("no head", lambda f: faults.change_endpoint(f, "outputs", lemma=None), "lemma"),
    Fault("exported in one part", without_parts, "it has them: tagwerk-train export-again victim"),
    Fault("no next rules", without_next_rules, "no output 'lemma_id_2' of tag_from_table, which lemma rules need"),
]


@pytest.mark.parametrize("fault", LEMMA_FAULTS, ids=lambda fault: fault.name)
def test_a_tagger_whose_lemma_rules_have_a_fault_is_refused_with_its_reason_and_nothing_else_is(tmp_path, fault):
    for name in ("victim", "healthy"):
        load_version(write_version(tmp_path, name, RULES))
    test_a_version_with_a_fault_is_refused_with_its_reason_and_nothing_else_is(tmp_path, fault)


def test_a_lemmatizer_of_before_is_refused_with_what_to_do_and_the_rest_serves(store):
    """Whatever else its manifest has."""
    reason = "it is a lemmatizer, which is not needed: a tagger gives lemmas; remove the folder"
    for changes in ({}, {"endpoints": {}, "labels": {"edit": ["a"]}, "more": 1}):
        faults.rewrite_manifest(store / "victim/1", task="lemmatize", **changes)
        serving = resolve(Registry(store), ServingConfig())
        assert (list(serving.shares), serving.refused) == ([HEALTHY], {VICTIM: reason})


def test_a_pipe_in_the_place_of_the_choices_is_not_waited_for(store):
    os.mkfifo(store / "serving.json")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        read_serving(Settings(model_store=store))


@pytest.mark.parametrize("folder", sorted(STORE.glob("*/*/")), ids=lambda folder: folder.parent.name)
def test_the_committed_models_have_no_fault(folder):
    load_version(folder)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 20_000_000


@pytest.mark.parametrize(
    ("task", "change", "reason"),
    [
        (
            "classify",
            {"labels": {"sentiment": ["bad", "good"], "more": ["a"]}},
            "one set of labels; the manifest has 2",
        ),
        ("classify", {"labels": {"sentiment": ["bad"]}}, "1 label of sentiment, but the model gives 3"),
        ("generate", {"vocabularies": {}}, "no vocabulary 'characters'"),
    ],
)
def test_what_a_task_needs_is_checked(tmp_path, task, change, reason):
    folder = next(f for f in STORE.glob("*/*/") if read_manifest(f).task == task)
    copy = Path(shutil.copytree(folder, tmp_path / folder.parent.name / folder.name))
    faults.rewrite_manifest(copy, **change)
    with pytest.raises(ArtifactError, match=reason):
        load_version(copy)


def test_a_version_that_was_valid_stays_so_while_the_machine_cannot_read_it_until_a_process_cannot_either(
    store, monkeypatch
):
    registry = Registry(store)
    assert registry.fault(VICTIM) is None

    def no_descriptors(*arguments: object, **more: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        for name in ("open", "scandir"):
            patch.setattr(os, name, no_descriptors)
        assert registry.fault(VICTIM) is None
        registry.verify_again(VICTIM)
        assert registry.fault(VICTIM) == "manifest.json cannot be read: Too many open files"
    assert registry.fault(VICTIM) is None


def test_a_version_for_which_the_memory_did_not_suffice_is_read_again(store, monkeypatch):
    registry = Registry(store)
    with monkeypatch.context() as patch:
        patch.setattr("service.tasks.requirements.make_task", lambda version: (_ for _ in ()).throw(MemoryError()))
        assert registry.fault(VICTIM) == "it cannot be built: MemoryError:"
    assert registry.fault(VICTIM) is None

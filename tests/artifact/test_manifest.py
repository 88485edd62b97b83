import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.artifact import manifest as artifact
from service.artifact.files import COPY, private_folder, read_file, verified_copy
from service.artifact.manifest import REFERENCE, Endpoint, Golden, Manifest, Reference, TensorSpec, read_goldens
from service.errors import ArtifactError
from service.files import lock_file
from service.store.registry import Registry, load_version
from service.store.serving import resolve
from service.store.serving_config import ServingConfig
from service.text.lemmatizer import LEMMA, NEXT_RULES, LemmaFile
from service.text.vocabulary import Vocabulary
from tests.fakes import version_of
from training.models.lemmatizer import LearnedLemmatizer
from training.run.version_folder import (
    checksums,
    new_version,
    write_goldens,
    write_manifest,
    write_reference,
    write_vocabulary,
)

RULES = ("lower", "lower|end-1+", "=be")


def write_version(store: Path, name: str = "tagger-en", rules: Sequence[str] = ()) -> Path:
    """Writes the folder of a tagger with some lemma rules, complete but for a SavedModel that works."""
    with new_version(store, name) as (folder, version):
        (folder / "saved_model").mkdir()
        (folder / "saved_model" / "saved_model.pb").write_bytes(b"weights")
        write_vocabulary(folder / "words.json", Vocabulary(["a", "b"]))
        write_vocabulary(folder / "characters.json", Vocabulary(["a", "b"]))
        write_goldens(folder, [Golden(source="a b", inputs={"word_ids": [2, 3]}, outputs={"upos": [[1, 0]]})])
        if rules:
            LearnedLemmatizer(rules, LemmaFile("abs", {"be": ["is"]}, {}, {})).write(folder / artifact.LEMMAS)
        changes = {"version": version, "files": checksums(folder)}
        write_manifest(folder, tagger(name, rules).model_copy(update=changes))
    return store / name / version


def tagger(name: str, rules: Sequence[str] = ()) -> Manifest:
    """Returns the manifest of a tagger that the service can load, with some lemma rules."""
    lengths = TensorSpec(dtype="int32", axes=("B",))
    words, characters = (TensorSpec(dtype="int32", axes=("B", "T", *rest)) for rest in ((), (4,)))
    labels: dict[str, tuple[str, ...]] = {"upos": ("NOUN", "VERB"), "xpos": ("NN", "VB"), "feats": ("_", "Number=Sing")}
    labels |= {LEMMA: tuple(rules)} if rules else {}
    outputs = {head: TensorSpec(dtype="float32", axes=("B", "T", len(those))) for head, those in labels.items()}
    endpoint = Endpoint(inputs={"word_ids": words, "char_ids": characters, "lengths": lengths}, outputs=outputs)
    vocabularies = {"words": "words.json", "characters": "characters.json"}
    next_rules = dict.fromkeys(NEXT_RULES, words) if rules else {}
    step = Endpoint(inputs={"rows": words, "lengths": lengths}, outputs=next_rules)
    endpoints = {"tag": endpoint, "project": Endpoint(inputs={}, outputs={}), "tag_from_table": step}
    return version_of(name, endpoints=endpoints, labels=labels, vocabularies=vocabularies).manifest


def test_a_version_is_read_as_it_was_written(tmp_path):
    folder = write_version(tmp_path)
    version = load_version(folder)
    assert str(version.key) == "tagger-en/1"
    assert version.vocabularies["words"].id("b") == 3
    assert set(version.manifest.files) == {
        "saved_model/saved_model.pb",
        "words.json",
        "characters.json",
        "goldens.jsonl",
    }
    assert read_goldens(folder)[0].inputs == {"word_ids": [2, 3]}
    assert write_version(tmp_path).name == "2"


def test_a_tagger_with_lemma_rules_has_its_lemmatizer_and_another_has_none(tmp_path):
    version = load_version(write_version(tmp_path, rules=RULES))
    assert version.lemmatizer is not None
    assert version.lemmatizer.lemma("IS", "VERB", "_", [2]) == "be"
    assert version.lemmatizer.lemma("abs", "NOUN", "_", [1]) == "ab"
    assert (version.manifest.lack, version.manifest.about) == (None, version.manifest.description)
    assert load_version(write_version(tmp_path)).lemmatizer is None


def test_a_tagger_without_lemma_rules_says_that_it_lacks_them_and_how_to_make_it_again(tmp_path):
    folder = write_version(tmp_path)
    manifest = load_version(folder).manifest.model_copy(update={"command": "tagwerk-train train\nx\x1b"})
    assert manifest.lack == (
        r"it gives no lemmas; made again of a treebank with lemmas, it does: tagwerk-train train x\x1b"
    )
    assert manifest.about == f"{manifest.description}; {manifest.lack}"
    assert manifest.model_copy(update={"task": "classify"}).lack is None
    ((_, description),) = resolve(Registry(tmp_path), ServingConfig()).about.values()
    assert description == load_version(folder).manifest.about != manifest.description


def test_a_version_may_say_what_it_makes_of_its_dev_split(tmp_path):
    folder = write_version(tmp_path)
    assert load_version(folder).reference is None
    reference = Reference(items=2, unknown={"words": 0.5}, labels={"upos": {"NOUN": 2}}, confidence={"upos": (0, 2)})
    write_reference(folder, reference)
    manifest = artifact.read_manifest(folder)
    write_manifest(folder, manifest.model_copy(update={"files": checksums(folder)}))
    assert load_version(folder).reference == reference
    (folder / REFERENCE).write_text("{}")
    with pytest.raises(ArtifactError, match=f"{REFERENCE} is altered"):
        load_version(folder, whole=False)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    write_version(tmp_path)

    def fail():
        with new_version(tmp_path, "tagger-en") as (folder, _):
            (folder / "half").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [p.name for p in (tmp_path / "tagger-en").iterdir()] == ["1"]


def test_what_is_loaded_is_a_private_copy_of_what_was_verified(tmp_path):
    folder = write_version(tmp_path)
    wanted = {"saved_model/saved_model.pb": load_version(folder).manifest.files["saved_model/saved_model.pb"]}
    with verified_copy(folder, wanted) as copy:
        (folder / "saved_model/saved_model.pb").write_bytes(b"other weights")
        assert (copy / "saved_model/saved_model.pb").read_bytes() == b"weights"
        assert copy.stat().st_mode & 0o777 == 0o700
    assert not copy.exists()
    with pytest.raises(ArtifactError, match=r"saved_model\.pb is altered"), verified_copy(folder, wanted):
        pytest.fail("what was altered after it was verified was copied")


def test_copies_that_killed_processes_have_left_are_removed_by_the_next_and_those_in_use_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with private_folder() as used:
        (used / "a").touch()
        left = tmp_path / f"{COPY}left"
        (left / "b").mkdir(parents=True)
        (tmp_path / f"{COPY}link").symlink_to(used)
        program = f"""
import os, signal, tempfile
from service.artifact.files import private_folder
tempfile.tempdir = {str(tmp_path)!r}
with private_folder() as folder:
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
        killed = Path(subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True).stdout.strip())
        assert killed.is_dir()
        assert not left.exists()
        with private_folder() as other:
            assert not killed.exists()
            assert (used / "a").exists()
            assert other.is_dir()
    assert not used.exists()


def test_a_private_folder_that_another_process_removes_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    """The first is gone when it is opened, the second when it is locked; the third is locked by the other process."""
    make, made, locked = tempfile.mkdtemp, list[Path](), list[int]()

    def mkdtemp(**options: str) -> str:
        made.append(Path(make(**options)))
        if len(made) == 1:
            made[0].rmdir()
        return str(made[-1])

    def lock(folder: int) -> bool:
        locked.append(folder)
        if len(made) == 2:
            made[1].rmdir()
        return len(made) != 3 and lock_file(folder)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # in which other processes leave nothing
    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    monkeypatch.setattr("service.artifact.files.lock_file", lock)
    with private_folder() as folder:
        assert (len(made), len(locked), folder) == (4, 3, made[3])
        assert folder.is_dir()


def test_a_file_that_is_exchanged_while_it_is_opened_is_not_waited_for(tmp_path, monkeypatch):
    folder = write_version(tmp_path)
    path = folder / "words.json"
    kept = path.lstat()
    path.unlink()
    os.mkfifo(path)
    real = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda self: kept if self == path else real(self))
    with pytest.raises(ArtifactError, match=r"words\.json is a pipe"):
        read_file(folder, "words.json")
    path.unlink()
    path.symlink_to("characters.json")
    with pytest.raises(OSError, match="symbolic link"):
        read_file(folder, "words.json")


def test_a_reason_is_one_printable_line_of_bounded_length():
    reason = str(ArtifactError("a\nb \udcff\x1b[31m" + "x" * 10_000))
    assert reason.startswith("a b \\udcff\\x1b[31mxxx")
    assert len(reason) == ArtifactError.MAX_CHARACTERS + 1

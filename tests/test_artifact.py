import json
from pathlib import Path

import pytest

from service import artifact
from service.artifact import Golden, new_version, read_goldens, read_manifest, verify_files, write_goldens
from service.errors import ArtifactError
from service.registry import read_version
from service.text.vocabulary import Vocabulary
from tests.fakes import version_of


def write_version(store: Path, name: str = "tagger-en") -> Path:
    """Writes a version folder, complete but for a SavedModel that works."""
    with new_version(store, name) as (folder, version):
        (folder / "saved_model").mkdir()
        (folder / "saved_model" / "saved_model.pb").write_bytes(b"weights")
        Vocabulary(["a", "b"]).write(folder / "words.json")
        write_goldens(folder, [Golden(source="a b", inputs={"ids": [2, 3]}, outputs={"ids": [2, 3]})])
        changes = {"version": version, "vocabularies": {"words": "words.json"}, "files": artifact.checksums(folder)}
        artifact.write_manifest(folder, version_of(name, **changes).manifest)
    return store / name / version


def test_a_version_is_read_as_it_was_written(tmp_path):
    folder = write_version(tmp_path)
    version = read_version(folder)
    assert str(version.key) == "tagger-en/1"
    assert version.vocabularies["words"].id("b") == 3
    assert set(version.manifest.files) == {"saved_model/saved_model.pb", "words.json", "goldens.jsonl"}
    assert read_goldens(folder)[0].inputs == {"ids": [2, 3]}
    assert write_version(tmp_path).name == "2"


def point_at(folder: Path, vocabulary: str) -> None:
    """Lets the manifest name a vocabulary elsewhere."""
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(content | {"vocabularies": {"words": vocabulary}}))


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    write_version(tmp_path)

    def fail():
        with new_version(tmp_path, "tagger-en") as (folder, _):
            (folder / "half").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [p.name for p in (tmp_path / "tagger-en").iterdir()] == ["1"]


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json cannot be read"),
        (lambda f: (f / "words.json").unlink(), "words.json is missing"),
        (lambda f: (f / "words.json").write_text("[]"), "words.json is altered"),
        (lambda f: (f / "saved_model/saved_model.pb").write_bytes(b"other"), "saved_model/saved_model.pb is altered"),
        (lambda f: (f / "extra.py").write_text("import os"), "extra.py is not listed"),
        (lambda f: f.rename(f.parent / "7"), "lies in tagger-en/7"),
        (lambda f: point_at(f, "../../secret.json"), "../../secret.json is not among the files"),
    ],
)
def test_a_broken_version_is_refused_with_the_reason(tmp_path, harm, reason):
    harm(write_version(tmp_path))
    (folder,) = (tmp_path / "tagger-en").iterdir()
    with pytest.raises(ArtifactError, match=reason):
        read_version(folder)


def test_a_manifest_with_unknown_fields_is_refused(tmp_path):
    folder = write_version(tmp_path)
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(content | {"surprise": 1}))
    with pytest.raises(ArtifactError, match="surprise"):
        read_manifest(folder)


def test_checksums_hold_for_the_committed_models():
    for manifest in sorted((Path(__file__).parents[1] / "model_store").glob("*/*/manifest.json")):
        verify_files(manifest.parent, read_manifest(manifest.parent))
        assert sum(p.stat().st_size for p in manifest.parent.rglob("*") if p.is_file()) < 20_000_000

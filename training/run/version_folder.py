"""Writes the folder of a model version in the form in which the service reads it, see `service.artifact.manifest`."""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from service.artifact.files import list_files, sha256_of
from service.artifact.manifest import GOLDENS, MANIFEST, REFERENCE, SIGNATURE, Golden, Manifest, Reference
from service.text.segmenter import Segmenter
from service.text.vocabulary import Vocabulary


@contextmanager
def new_version(store: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Yields an empty folder to fill, and its version: one above the highest existing one.

    Renames the folder into the store at the end of the block; removes it if the block raises.
    """
    parent = store / name
    parent.mkdir(parents=True, exist_ok=True)
    version = str(1 + max((int(p.name) for p in parent.iterdir() if p.name.isdecimal()), default=0))
    scratch = parent / f".{version}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    folder = scratch / name / version  # the same depth as in the store, so that it can be verified in place
    folder.mkdir(parents=True)
    try:
        yield folder, version
        folder.rename(parent / version)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Writes a vocabulary as JSON, since entries may contain spaces and line breaks."""
    content = {"lowercase": vocabulary.lowercase, "entries": vocabulary.entries}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def write_segmenter(path: Path, segmenter: Segmenter) -> None:
    """Writes a segmenter as JSON, one line for each feature. Raises ValueError if the service would not read it."""
    content = json.dumps(msgspec.to_builtins(segmenter), ensure_ascii=False, indent=0)
    Segmenter.parse(content.encode())
    path.write_text(content + "\n", encoding="utf-8")


def write_goldens(folder: Path, goldens: Iterable[Golden]) -> None:
    """Writes goldens as JSON lines."""
    lines = [golden.model_dump_json() + "\n" for golden in goldens]
    (folder / GOLDENS).write_text("".join(lines), encoding="utf-8")


def write_reference(folder: Path, reference: Reference) -> None:
    """Writes what the model makes of its dev split."""
    (folder / REFERENCE).write_text(reference.model_dump_json(indent=1) + "\n", encoding="utf-8")


def checksums(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file of a version folder except the manifest, by relative path."""
    names = list_files(folder).keys() - {MANIFEST, SIGNATURE}
    return {name: sha256_of(folder, name) for name in sorted(names)}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest, the last file of a version folder."""
    content = json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=2)
    (folder / MANIFEST).write_text(content + "\n", encoding="utf-8")

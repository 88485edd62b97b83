"""Loads and verifies model versions; used by all that reads versions."""

from collections.abc import Sequence
from pathlib import Path

from service.artifact.files import read_file, reading
from service.artifact.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    SIGNATURE,
    Task,
    parse_manifest,
    read_goldens,
    read_lemmatizer,
    read_reference,
    read_segmenter,
    read_vocabularies,
    verify_files,
)
from service.artifact.signing import check_signature, read_public_key
from service.artifact.version import ModelVersion
from service.tasks.generation import TextGeneration
from service.tasks.requirements import check_version
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging

AnyTask = Tagging | Sentiment | TextGeneration


def load_version(folder: Path, signers: Sequence[Path] = (), *, whole: bool = True) -> ModelVersion:
    """Reads and verifies a version folder, and builds its task once to check that it can be built.

    Checks the signature if there are signers. With `whole`, hashes every file; otherwise only those parsed here:
    manifest, vocabularies, lemmatizer, segmenter and reference. Parses the same bytes that it hashes.

    Raises ArtifactError for an invalid folder, and ConfigurationError for unreadable signers' keys.
    """
    keys = [read_public_key(path) for path in signers]
    with reading(MANIFEST):
        content = read_file(folder, MANIFEST, MAX_MANIFEST_BYTES)
    if keys:
        with reading(f"TAGWERK_MODEL_SIGNERS requires a signature: {SIGNATURE}"):
            check_signature(read_file(folder, SIGNATURE), content, keys)
    manifest = parse_manifest(content, folder)
    if whole:
        verify_files(folder, manifest)
        read_goldens(folder)
    version = ModelVersion(
        folder,
        manifest,
        read_vocabularies(folder, manifest),
        read_lemmatizer(folder, manifest),
        read_segmenter(folder, manifest),
        read_reference(folder, manifest),
    )
    with reading("it", "built"):
        check_version(manifest, version.vocabularies)
        make_task(version)
    return version


def make_task(version: ModelVersion) -> AnyTask:
    """Builds a version's task."""
    task: Task = version.manifest.task
    if task == "generate":
        return TextGeneration(version)
    longest = version.manifest.length_buckets[-1]
    return Tagging(version, longest) if task == "tag" else Sentiment(version, longest)

"""Finds the model versions in a store."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.artifact import Manifest, read_dictionary, read_manifest, read_vocabularies, verify_files
from service.engine.protocol import ModelKey, ModelState, State
from service.errors import ArtifactError, ConfigurationError
from service.text.lemmas import LemmaDictionary
from service.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model version whose files are what its manifest says."""

    folder: Path
    manifest: Manifest
    vocabularies: Mapping[str, Vocabulary]
    dictionary: LemmaDictionary | None = None  # of a lemmatizer

    @property
    def key(self) -> ModelKey:
        """Its name and version."""
        return ModelKey(self.manifest.name, self.manifest.version)


def scan(store: Path) -> tuple[list[ModelVersion], list[ModelState]]:
    """Returns, for each model of the store, its newest version that is sound, and the newer ones that are refused.

    Raises ConfigurationError where there is no store, or nothing in it.
    """
    if not store.is_dir():
        raise ConfigurationError(f"there is no model store at {store.absolute()}: set TAGWERK_MODEL_STORE")
    sound: list[ModelVersion] = []
    refused: list[ModelState] = []
    for model in sorted(p for p in store.iterdir() if p.is_dir() and not p.name.startswith(".")):
        numbers = sorted((int(p.name) for p in model.iterdir() if p.name.isdecimal()), reverse=True)
        for number in numbers:
            try:
                sound.append(read_version(model / str(number)))
                break
            except ArtifactError as error:
                refused.append(ModelState(ModelKey(model.name, str(number)), State.REFUSED, str(error)))
    if not sound and not refused:
        raise ConfigurationError(f"the model store {store.absolute()} holds no <name>/<version>/manifest.json")
    return sound, refused


def read_version(folder: Path) -> ModelVersion:
    """Reads a version folder and checks its files. Raises ArtifactError."""
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    return ModelVersion(folder, manifest, read_vocabularies(folder, manifest), read_dictionary(folder, manifest))

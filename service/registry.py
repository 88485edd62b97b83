"""The model versions in a store, and which of them are sound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.artifact import Manifest, read_dictionary, read_manifest, read_vocabularies, verify_files
from service.engine.protocol import ModelKey
from service.errors import ArtifactError, ConfigurationError
from service.signing import check_signature
from service.text.lemmas import LemmaDictionary
from service.text.vocabulary import Vocabulary

Traces = tuple[tuple[str, int, int], ...]  # of each file: path, size, moment of its last change


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


def read_version(folder: Path, signers: Sequence[Path] = ()) -> ModelVersion:
    """Reads a version folder and checks its files, and its signature where there are signers. Raises ArtifactError."""
    check_signature(folder, signers)
    manifest = read_manifest(folder)
    try:
        verify_files(folder, manifest)
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be read: {error}") from error
    return ModelVersion(folder, manifest, read_vocabularies(folder, manifest), read_dictionary(folder, manifest))


def newest(store: Path) -> list[ModelVersion]:
    """Returns the newest sound version of each model of a store. Raises ConfigurationError where there is no store."""
    registry = Registry(store)
    firsts = (next((key for key in keys if registry.fault(key) is None), None) for keys in registry.keys().values())
    return [registry.read(key) for key in firsts if key is not None]


class Registry:
    """The versions in a store. The files of each are verified once, and again when they change."""

    def __init__(self, store: Path, signers: Sequence[Path] = ()) -> None:
        """Raises ConfigurationError where there is no store."""
        if not store.is_dir():
            raise ConfigurationError(f"there is no model store at {store.absolute()}: set TAGWERK_MODEL_STORE")
        self._store = store
        self._signers = signers
        self._faults: dict[ModelKey, tuple[Traces, str | None]] = {}

    def keys(self) -> dict[str, list[ModelKey]]:
        """Returns the versions that are there now, by model, the newest first; not whether they are sound."""
        found: dict[str, list[ModelKey]] = {}
        for model in sorted(p for p in self._store.iterdir() if p.is_dir() and not p.name.startswith(".")):
            numbers = sorted((int(p.name) for p in model.iterdir() if p.name.isdecimal()), reverse=True)
            if numbers:
                found[model.name] = [ModelKey(model.name, str(number)) for number in numbers]
        return found

    def folder(self, key: ModelKey) -> Path:
        """Returns where a version lies."""
        return self._store / key.name / key.version

    def read(self, key: ModelKey) -> ModelVersion:
        """Reads a version and checks it. Raises ArtifactError."""
        return read_version(self.folder(key), self._signers)

    def fault(self, key: ModelKey) -> str | None:
        """Returns what is wrong with a version; None where it is sound."""
        traces = traces_of(self.folder(key))
        known = self._faults.get(key)
        if known is None or known[0] != traces:
            try:
                self.read(key)
                known = (traces, None)
            except ArtifactError as error:
                known = (traces, str(error))
            self._faults[key] = known
        return known[1]

    def refuse(self, key: ModelKey, reason: str) -> None:
        """Notes what an engine found wrong with a version: it counts until one of its files changes."""
        self._faults[key] = (self._faults[key][0], reason)


def traces_of(folder: Path) -> Traces:
    """Returns what tells that a file of a folder has changed, without reading it."""
    traces = []
    for path in sorted(folder.rglob("*")):
        try:
            status = path.stat()
        except OSError:  # it has just gone
            continue
        traces.append((path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns))
    return tuple(traces)

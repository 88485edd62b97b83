"""Loads and verifies model versions, and lists those in a store."""

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.artifact.files import list_files, read_file, reading
from service.artifact.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    SIGNATURE,
    ModelVersion,
    TaskName,
    parse_manifest,
    read_goldens,
    read_lemmatizer,
    read_reference,
    read_segmenter,
    read_vocabularies,
    verify_files,
)
from service.artifact.signing import check_signature, read_public_key
from service.errors import ArtifactError, ConfigurationError, is_machine_fault
from service.types import ModelKey

log = logging.getLogger("tagwerk")
VERSION = re.compile(r"0|[1-9][0-9]{0,17}")
NOT_FOUND = "it is not in the store"
Fingerprint = tuple[tuple[str, int, int, int], ...]  # of each file: path, size, times of its last changes


def load_version(folder: Path, signers: Sequence[Path] = (), *, whole: bool = True) -> ModelVersion:
    """Reads and verifies a version folder, and builds its task once to check that it can be built.

    Checks the signature if there are signers. With `whole`, hashes every file; otherwise only those parsed here:
    manifest, vocabularies, lemmatizer, segmenter and reference. Parses the same bytes that it hashes.

    Raises ArtifactError for an invalid folder, and ConfigurationError for unreadable signers' keys.
    """
    # Imports spaCy, and the supervisor starts its processes first.
    from service.tasks.requirements import check_version, make_task

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


@dataclass(frozen=True, slots=True)
class Check:
    """The result of verifying a version, and the fingerprint of the files for which it holds.

    The task and the description are None if the version is invalid.
    """

    fingerprint: Fingerprint
    fault: str | None
    task: TaskName | None
    description: str | None = None


class Registry:
    """The versions in a store. Verifies the files of each once, and again when they change.

    `refuse` may be called from another thread.
    """

    def __init__(self, store: Path, signers: Sequence[Path] = (), only: Sequence[str] = ()) -> None:
        """`only` has the names of the models to list; if it is empty, all are listed.

        Raises ConfigurationError if there is no store, or no model of such a name.
        """
        if not store.is_dir():
            raise ConfigurationError(f"there is no model store at {store.absolute()}: set TAGWERK_MODEL_STORE")
        self._store = store
        self._signers = signers
        self.only: Collection[str] = ()
        self._checks: dict[ModelKey, Check] = {}
        self._recheck: set[ModelKey] = set()  # to be verified again
        self._refusals: dict[ModelKey, tuple[Fingerprint, str]] = {}
        self._unlisted: set[str] = set()  # model folders that cannot be listed
        if only:
            there = self.keys()
            if missing := sorted(set(only) - there.keys()):
                allowed = ", ".join(there) or "none"
                raise ConfigurationError(f"TAGWERK_LOAD names {', '.join(missing)}; in the store {store} is: {allowed}")
            self.only = frozenset(only)

    def keys(self) -> dict[str, list[ModelKey]]:
        """Returns all versions by model, newest first, valid or not.

        Raises OSError if the store cannot be listed; logs and omits a model whose folder cannot be listed.
        """
        found: dict[str, list[ModelKey]] = {}
        for model in sorted(self._store.iterdir()):
            if model.name.startswith(".") or not model.is_dir() or (self.only and model.name not in self.only):
                continue
            try:
                if not model.name.isprintable():
                    raise ValueError("its name cannot be printed")
                numbers = sorted((int(p.name) for p in model.iterdir() if VERSION.fullmatch(p.name)), reverse=True)
            except (OSError, ValueError) as error:
                if model.name not in self._unlisted:
                    log.error("the folder of the model %r cannot be listed: %s", model.name, error)
                self._unlisted.add(model.name)
                continue
            self._unlisted.discard(model.name)
            if numbers:
                found[model.name] = [ModelKey(model.name, str(number)) for number in numbers]
        return found

    def folder(self, key: ModelKey) -> Path:
        """Returns the folder of a version."""
        return self._store / key.name / key.version

    def read(self, key: ModelKey) -> ModelVersion:
        """Reads and verifies a version. Raises ArtifactError."""
        return load_version(self.folder(key), self._signers)

    def fault(self, key: ModelKey) -> str | None:
        """Returns why a version is invalid; None if it is valid."""
        check = self.check(key)
        refusal = self._refusals.get(key)
        if check.fault is None and refusal is not None and refusal[0] == check.fingerprint:
            return refusal[1]
        return check.fault

    def refuse(self, key: ModelKey, reason: str) -> None:
        """Marks a version as refused by a process, until one of its files changes."""
        check = self._checks.get(key)
        self._refusals[key] = (check.fingerprint if check is not None else fingerprint(self.folder(key)), reason)

    def verify_again(self, key: ModelKey) -> None:
        """Verifies a version again at the next poll even if its files seem unchanged."""
        self._recheck.add(key)

    def check(self, key: ModelKey) -> Check:
        """Returns the result of verifying a version, which is done once for its files as they are."""
        found = fingerprint(self.folder(key))
        known = self._checks.get(key) if key not in self._recheck else None
        if known is not None and known.fingerprint == found:
            return known
        self._recheck.discard(key)
        try:
            manifest = self.read(key).manifest
            check = Check(found, None, manifest.task, manifest.about)
        except ArtifactError as error:
            check = Check(found, str(error), None)
            if is_machine_fault(error):  # not cached: the next poll may be able to read it
                return known or check
        self._checks[key] = check
        return check


def fingerprint(folder: Path) -> Fingerprint:
    """Returns the paths, sizes and times of a folder's files, to detect changes; nothing if it cannot be listed."""
    try:
        found = list_files(folder)
    except (OSError, ArtifactError) as error:
        return ((str(error), 0, 0, 0),)
    return tuple((name, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in sorted(found.items()))

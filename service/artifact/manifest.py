"""Reads model version folders, `model_store/<name>/<version>/`.

```
manifest.json        model, inputs, outputs, training, and a checksum of every other file
saved_model/         TensorFlow SavedModel, one signature per endpoint
<vocabulary>.json    see service.text.vocabulary
lemmas.json          of a tagger with lemma rules, see service.text.lemmatizer
tokenizer.json       what a tokenizer has learned, see service.text.segmenter
goldens.jsonl        inputs with the outputs that training computed
reference.json       what the model makes of its dev split, to compare other texts with: see `Reference`
MODEL_CARD.md        documentation
manifest.sig         if signed: see service.artifact.signing
```

A version folder never changes. `training/run/version_folder.py` writes it under another name, and renames it when it is
complete.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self, TypeVar

from pydantic import ValidationError, model_validator

from service.artifact.files import check_sum, list_files, read_file, reading, sha256_of
from service.errors import ArtifactError, one_line
from service.files import FileModel, first_fault
from service.text.lemmatizer import LEMMA, Lemmatizer
from service.text.segmenter import Segmenter
from service.text.vocabulary import Vocabulary
from service.types import ModelKey

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
SAVED_MODEL = "saved_model"
GOLDENS = "goldens.jsonl"
MODEL_CARD = "MODEL_CARD.md"
PROBABILITIES = "probabilities"  # a classifier's output: of each label, for the whole text
LEMMAS = "lemmas.json"
SEGMENTER = "tokenizer.json"
REFERENCE = "reference.json"
CONFIDENCE_BINS = 20  # of `Reference`
MAX_BUCKET = 65_536  # tokens
MAX_BUCKETS = 256
NAMES_SHOWN = 5  # file names in an error
MAX_MANIFEST_BYTES = 2**20  # 1 MiB: /models/{name} returns it
POSITIONS = "positions"  # the axis of the valid positions of a batch, one sequence after the other; at most B * T
CANDIDATES = 5  # labels per head and token that are returned on request, the most probable first

T = TypeVar("T")
TaskName = Literal["tag", "classify", "generate"]
LEMMATIZE = "lemmatize"  # a task of earlier versions; a tagger gives lemmas
Precision = Literal["float32", "int8"]


class TensorSpec(FileModel):
    """A tensor: its type and axes. An axis is a name ("B" batch, "T" time, or POSITIONS) or a fixed size."""

    dtype: Literal["int32", "float32", "int8"]
    axes: tuple[str | int, ...]


class Endpoint(FileModel):
    """A signature of the SavedModel: its named inputs and outputs."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


class DataSource(FileModel):
    """A corpus that the model was trained or evaluated on."""

    name: str
    address: str
    sha256: str
    licence: str


class Metric(FileModel):
    """A metric's value, and the split and corpus that it was measured on."""

    name: str
    value: float
    unit: str
    split: str


class Manifest(FileModel):
    """The description of a model version.

    `lengths` counts the training sequences by length in tokens; `length_buckets` are the best lengths to pad them to.
    Both are empty for a language model. `precision` is the number format in which states are multiplied by weights.
    """

    name: str
    version: str
    task: TaskName
    description: str
    language: str
    recipe: str
    seed: int
    command: str
    created: datetime
    licence: str
    data: tuple[DataSource, ...]
    metrics: tuple[Metric, ...]
    endpoints: dict[str, Endpoint]
    labels: dict[str, tuple[str, ...]]
    vocabularies: dict[str, str]
    tokenizer: str | None
    lengths: dict[int, int]
    length_buckets: tuple[int, ...]
    precision: Precision = "float32"
    frameworks: dict[str, str]
    files: dict[str, str]

    @property
    def endpoint_name(self) -> str:
        """The endpoint of the whole task; other endpoints are steps of it."""
        return "step" if self.task == "generate" else self.task

    @property
    def endpoint(self) -> Endpoint:
        """The inputs and outputs of the whole task."""
        return self.endpoints[self.endpoint_name]

    @property
    def key(self) -> ModelKey:
        """The model's name and version."""
        return ModelKey(self.name, self.version)

    @property
    def lack(self) -> str | None:
        """What a version lacks that its task's code can give, and the command that makes one with it; usually None.

        In one printable line.
        """
        if self.task == "tag" and LEMMA not in self.labels:
            return one_line(f"it gives no lemmas; made again of a treebank with lemmas, it does: {self.command}")
        return None

    @property
    def about(self) -> str:
        """The description, and what is lacking."""
        return f"{self.description}; {self.lack}" if self.lack else self.description

    @property
    def graph(self) -> str:
        """What is the same for versions that compute the same with other weights: the checksum of their graph."""
        return self.files.get(f"{SAVED_MODEL}/saved_model.pb", f"{self.name}-{self.version}")

    @property
    def heads(self) -> tuple[str, ...]:
        """The outputs with label probabilities per token  # [B, T, K]."""
        outputs = self.endpoint.outputs.items()
        return tuple(name for name, spec in outputs if name in self.labels and spec.axes[:2] == ("B", "T"))

    def tolerance(self, output: str, of_floats: tuple[float, float] = (1e-3, 1e-4)) -> tuple[float, float]:
        """How far an output may be from a golden, relative and absolute; `of_floats` is that of a step in float32.

        Processors and batch shapes differ in the last digit of a float; a step in integers may round that to another
        integer. Its probabilities are within 0.01 of training's, large or small, so that the best label is the same,
        unless the next one is less than 0.02 behind.
        """
        if self.precision == "float32":
            return of_floats
        return (0.0 if output in (*self.heads, PROBABILITIES) else 0.01), 0.01

    @property
    def candidate_outputs(self) -> dict[str, tuple[str, str]]:
        """The outputs that a backend adds on request: head -> ids, probabilities of its best labels  # [B, T, N]."""
        return {head: (f"{head}_top_ids", f"{head}_top_probabilities") for head in self.heads}

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if list(self.length_buckets) != sorted({n for n in self.length_buckets if 0 < n <= MAX_BUCKET}):
            raise ValueError(f"length_buckets must rise from 1 to at most {MAX_BUCKET}")
        if len(self.length_buckets) > MAX_BUCKETS:
            raise ValueError(f"there are {len(self.length_buckets)} length_buckets; allowed: {MAX_BUCKETS}")
        if not self.length_buckets and self.task != "generate":
            raise ValueError("length_buckets is empty")
        for name in self.files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or str(path) != name or "\0" in name:
                raise ValueError(f"files are named by their path inside the folder, not {name[:100]!r}")
        if self.endpoint_name not in self.endpoints:
            raise ValueError(f"there is no endpoint {self.endpoint_name!r}, which the task {self.task!r} needs")
        return self


class Golden(FileModel):
    """An example without a batch axis: input, tensors, and the outputs that training computed."""

    source: str | tuple[str, ...]
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class Reference(FileModel):
    """What a model makes of its dev split. If other texts differ much from it, the model may be less good for them.

    Attributes:
        items: how many words, texts or characters the split has.
        unknown: by vocabulary, the share of what it does not have.
        labels: by kind of label, how often each is the most probable one.
        confidence: by kind of label, how many words, texts or characters have a highest probability in each of
            CONFIDENCE_BINS equal bins between 0 and 1.
    """

    items: int
    unknown: dict[str, float]
    labels: dict[str, dict[str, int]]
    confidence: dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model version whose files match its manifest. `key` is its name and version."""

    folder: Path
    manifest: Manifest
    vocabularies: Mapping[str, Vocabulary]
    lemmatizer: Lemmatizer | None = None  # of a tagger with lemma rules
    segmenter: Segmenter | None = None  # what the tokenizer has learned
    reference: Reference | None = None  # what the model makes of its dev split
    key: ModelKey = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.manifest.key)


def read_manifest(folder: Path) -> Manifest:
    """Reads and validates the manifest of a version folder. Raises ArtifactError."""
    with reading(MANIFEST):
        return parse_manifest(read_file(folder, MANIFEST, MAX_MANIFEST_BYTES), folder)


def parse_manifest(content: bytes, folder: Path) -> Manifest:
    """Parses and validates the content of a version folder's manifest. Raises ArtifactError."""
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        if any(fault["loc"] == ("task",) and fault["input"] == LEMMATIZE for fault in error.errors()):
            reason = "it is a lemmatizer, which is not needed: a tagger gives lemmas; remove the folder"
            raise ArtifactError(reason) from None
        raise ArtifactError(f"{MANIFEST} cannot be read: {first_fault(error)}") from None
    if (manifest.name, manifest.version) != (folder.parent.name, folder.name):
        where = f"{folder.parent.name}/{folder.name}"
        raise ArtifactError(f"{MANIFEST} is of {manifest.name}/{manifest.version}, but is in {where}")
    return manifest


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Checks that the folder holds exactly the listed files, unaltered. Raises ArtifactError."""
    with reading("the folder"):
        present = list_files(folder).keys() - {MANIFEST, SIGNATURE}
    if missing := manifest.files.keys() - present:
        raise ArtifactError(f"{_names(missing)} missing")
    if extra := present - manifest.files.keys():
        raise ArtifactError(f"{_names(extra)} not listed in {MANIFEST}")
    for name in manifest.files:
        with reading(name):
            check_sum(name, sha256_of(folder, name), manifest.files)


def read_vocabularies(folder: Path, manifest: Manifest) -> dict[str, Vocabulary]:
    """Reads the vocabularies that the manifest names, after checking their checksums. Raises ArtifactError."""
    if strange := set(manifest.vocabularies.values()) - manifest.files.keys():
        raise ArtifactError(f"{_names(strange)} not among the files of {MANIFEST}")
    return {name: _parsed(folder, manifest, file, Vocabulary.parse) for name, file in manifest.vocabularies.items()}


def read_lemmatizer(folder: Path, manifest: Manifest) -> Lemmatizer | None:
    """Reads the lemmatizer of a tagger with lemma rules. Raises ArtifactError."""
    if LEMMA not in manifest.labels:
        return None
    if LEMMAS not in manifest.files:
        raise ArtifactError(f"there is no {LEMMAS}, which a tagger with lemma rules needs")
    labels = manifest.labels[LEMMA]
    return _parsed(folder, manifest, LEMMAS, lambda content: Lemmatizer.parse(content, labels))


def read_segmenter(folder: Path, manifest: Manifest) -> Segmenter | None:
    """Reads what a model's tokenizer has learned, if there is something. Raises ArtifactError."""
    return _parsed(folder, manifest, SEGMENTER, Segmenter.parse) if SEGMENTER in manifest.files else None


def read_reference(folder: Path, manifest: Manifest) -> Reference | None:
    """Reads what a model makes of its dev split, if its version says it. Raises ArtifactError."""
    return _parsed(folder, manifest, REFERENCE, Reference.model_validate_json) if REFERENCE in manifest.files else None


def read_goldens(folder: Path) -> list[Golden]:
    """Reads the goldens of a version folder. Raises ArtifactError."""
    with reading(GOLDENS):
        lines = read_file(folder, GOLDENS).decode().splitlines()
        goldens = [Golden.model_validate_json(line) for line in lines]
    if not goldens:
        raise ArtifactError(f"{GOLDENS} is empty")
    return goldens


def _parsed(folder: Path, manifest: Manifest, name: str, parse: Callable[[bytes], T]) -> T:
    """Reads a file, checks its checksum, and parses it. Raises ArtifactError."""
    with reading(name):
        content = read_file(folder, name)
        check_sum(name, hashlib.sha256(content).hexdigest(), manifest.files)
        return parse(content)


def _names(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - NAMES_SHOWN
    shown = ", ".join(ordered[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return shown + (" is" if len(ordered) == 1 else " are")

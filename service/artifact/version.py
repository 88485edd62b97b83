"""A loaded model version: its manifest, and what is parsed of its other files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service.artifact.manifest import Manifest, Reference
from service.text.lemmatizer import Lemmatizer
from service.text.segmenter import Segmenter
from service.text.vocabulary import Vocabulary
from service.types import ModelKey


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

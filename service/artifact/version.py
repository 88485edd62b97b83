"""A loaded model version: its manifest, vocabularies, dictionary and segmenter."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.artifact.manifest import Manifest
from service.text.lemmas import LemmaDictionary
from service.text.segmenter import Segmenter
from service.text.vocabulary import Vocabulary
from service.types import ModelKey


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model version whose files match its manifest."""

    folder: Path
    manifest: Manifest
    vocabularies: Mapping[str, Vocabulary]
    dictionary: LemmaDictionary | None = None  # of a lemmatizer
    segmenter: Segmenter | None = None  # what the tokenizer has learned

    @property
    def key(self) -> ModelKey:
        """Its name and version."""
        return ModelKey(self.manifest.name, self.manifest.version)

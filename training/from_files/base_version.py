"""A version of the store that training goes on from: its settings, its answers, its weights as floats."""

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from service.artifact import manifest as artifact
from service.errors import ArtifactError, ConfigurationError
from service.text.lemmatizer import LEMMA
from training.data import corpora
from training.models.lemmatizer import LearnedLemmatizer, TaggedWord
from training.models.word_classes import WordClasses
from training.recipes import load_recipe, recipe_names
from training.run.versions import exported_weights, restored, settings_of, version_folder
from training.tasks.base import AnyRecipe, Recipe, ServedTask
from training.tasks.classification import Classification


class BaseVersion:
    """A version that training goes on from. Raises ArtifactError if its files are not valid, or of another task.

    Args:
        name: "tagger-en/14", or "tagger-en" for the newest version.
        task: that it has to have.
    """

    def __init__(self, store: Path, name: str, task: artifact.TaskName) -> None:
        self.folder = version_folder(store, name)
        self.manifest = artifact.read_manifest(self.folder)
        if self.manifest.task != task:
            raise ConfigurationError(f"--from {name}: its task is {self.manifest.task}; right: a model of {task}")
        artifact.verify_files(self.folder, self.manifest)
        self.vocabularies = artifact.read_vocabularies(self.folder, self.manifest)
        self.segmenter = artifact.read_segmenter(self.folder, self.manifest)

    def lemmatizer(self, corrected: Iterable[tuple[TaggedWord, str]]) -> LearnedLemmatizer | None:
        """Returns what finds lemmas, with the lemmas of corrected words in its dictionary; None without lemmas."""
        if LEMMA not in self.manifest.labels:
            return None
        path = self.folder / artifact.LEMMAS
        return LearnedLemmatizer.read(path, self.manifest.labels[LEMMA]).with_words(corrected)

    @property
    def name(self) -> str:
        """Model and version, such as "tagger-en/14"."""
        return f"{self.manifest.name}/{self.manifest.version}"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings in its model card."""
        return settings_of(self.folder)

    def recipe(self, kind: type[AnyRecipe], sizes: type[Any]) -> AnyRecipe:
        """Returns the settings that it was made with, as its model card has them. Raises ArtifactError."""
        try:
            settings = self.settings | {"sizes": sizes(**self.settings["sizes"])}
            known = {field.name for field in fields(kind)}
            given = {name: _tuples(value) for name, value in settings.items() if name in known}
            return replace(kind(**given), teacher=None, teaching=None, limit=None)
        except (ValueError, KeyError, TypeError) as error:
            fault = f"the settings in its {artifact.MODEL_CARD} are not those of this release ({error})"
            raise ArtifactError(f"{self.folder}: {fault}") from None

    def nothing_learned(self, name: str) -> ConfigurationError:
        """Returns the error that nothing of what it has learned from is here."""
        fault = f"what {self.name} has learned from is not here"
        right = "--unlabelled FILE: plain text of the kind that it should go on to answer as before"
        return ConfigurationError(f"--from {name}: {fault}; right: {right}")

    def made_by(self) -> Recipe | None:
        """Returns its recipe as that is now; None for a version that was made of files."""
        return load_recipe(self.manifest.recipe) if self.manifest.recipe in recipe_names() else None

    def corpus(self) -> str | None:
        """Returns the corpus of its recipe, if that is here; None for a version that was made of files."""
        corpus: str | None = getattr(self.made_by(), "corpus", None)
        try:
            return corpus if corpus and all(corpora.path(corpus, part) for part in ("train", "dev")) else None
        except corpora.CorpusError:
            return None

    def word_classes(self, longest: int) -> list[WordClasses]:
        """Returns the classes of words by the lexicon that it was made with, none or one."""
        weights = [value for _, value in exported_weights(self.folder)]
        classes = next((weight for weight in weights if weight.dtype == np.uint16), None)
        if classes is None:
            return []
        keys = next(weight for weight in weights if weight.dtype == np.int32 and weight.shape == classes.shape)
        return [WordClasses(keys, classes, longest)]

    def classifier(self, task: Classification) -> keras.Model:
        """Returns the network of a classifier, as `restored_floats` does."""
        words, classes = len(task.vocabularies["words"]), len(task.label_of_class)
        return self.restored_floats(task, lambda: task.recipe.sizes.network(words, classes))

    def restored_floats(self, task: ServedTask, build: Callable[[], keras.Model]) -> keras.Model:
        """Returns the network of the version, tables of 8 bits as floats. build: makes one of its sizes."""
        exported, model = restored(task, build(), self.folder), build()
        pairs = list(zip(embeddings(exported), embeddings(model), strict=True))
        for table, own in pairs:
            own.embeddings.assign(table(ops.arange(table.input_dim)))
        tables = {id(weight) for pair in pairs for layer in pair for weight in layer.weights}
        left, right = ([w for w in one.weights if id(w) not in tables] for one in (exported, model))
        for own in right:  # integers that were restored stand behind the others of their layer
            own.assign(left.pop(next(i for i, weight in enumerate(left) if weight.shape == own.shape)).value)
        return model


def move_back(model: keras.Model, before: keras.Model, moved: float) -> None:
    """Moves the weights of a network back towards what they were before, which keeps more than it costs.

    Wortsman et al. (2022), Robust fine-tuning of zero-shot models.

    Args:
        moved: the share of the way that remains.
    """
    for weight, old in zip(model.weights, before.weights, strict=True):
        weight.assign(old + moved * (weight - old))


def embeddings(model: keras.Model) -> list[keras.layers.Embedding]:
    """Returns the tables of a network, also those of its layers' layers."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

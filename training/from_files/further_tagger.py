"""A tagger that goes on from a version: it learns what was corrected, and keeps what it answers otherwise.

A network that learns corrections alone forgets the rest. So each epoch has other sentences as well, with the labels
that the version has learned there or with its own answers (Li and Hoiem 2016, Learning without Forgetting).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console

from service.artifact.manifest import DataSource, Metric
from service.errors import ConfigurationError
from service.text.languages import make_tokenizer
from service.text.lemmatizer import LEMMA
from training.data import corpora, treebank
from training.data.corpora import source
from training.data.dataset import IGNORED, Array, Example
from training.data.distillation import DistillationSet
from training.data.files import DataFileError, read_text
from training.data.splits import HoldOut, by_document
from training.data.treebank import Tree
from training.from_files.base_version import BaseVersion
from training.from_files.further_labels import learnable_columns, nearest, replaced, with_columns, with_new
from training.from_files.options import Options, changed
from training.from_files.splits import divided
from training.metrics.predictions import Predictions
from training.metrics.scores import LEMMA_RULES, percent, percentages
from training.models.tagger import TaggerSizes
from training.run.versions import load_endpoint
from training.tasks.base import Predict, predict_all
from training.tasks.lemma_labels import words_with_lemmas
from training.tasks.tagging import FEATURES, HEADS, Tagging, TaggingRecipe, inputs_of
from training.tasks.tagging_batches import TEACHER_LABELS
from training.teachers import unlabelled

REHEARSED = 3  # words of other sentences in an epoch for each word of a correction
LEAST_REHEARSED = 20_000  # words
MOST_ANSWERED = 200_000  # words that the version is asked about
LEAST_NEW = 2  # words of corrections with features that it lacks
EPOCHS, QUICK_EPOCHS = 8, 3
SETTINGS: dict[str, Any] = {
    "learning_rate": 5e-4,
    "warmup": 0.1,
    "averaging": 0.99,
    "restyled": 0.0,
    "label_smoothing": 0.0,
}


class ContinuedTagging(Tagging):
    """Tagging with the vocabularies, sizes, lemmas and tokenizer of a version, from whose weights it starts.

    Args:
        base: the version.
        labels: as many of each head as it has; by default its own.
        answered: other sentences, with labels that it has learned or its own answers.
    """

    def __init__(
        self,
        recipe: TaggingRecipe,
        splits: dict[str, list[Tree]],
        data: tuple[DataSource, ...],
        base: BaseVersion,
        labels: Mapping[str, tuple[str, ...]] | None = None,
        answered: DistillationSet | None = None,
    ) -> None:
        self._base = base
        labels = labels or base.manifest.labels
        super().__init__(recipe, splits, data, base.vocabularies, labels=labels, distillation=answered)
        self.segmenter = base.segmenter
        self.lemmatizer = base.lemmatizer(words_with_lemmas(splits["train"], self._finer))
        self.lengths, self.length_buckets = base.manifest.lengths, base.manifest.length_buckets

    def network(self) -> keras.Model:
        sizes = {head: len(labels) for head, labels in self.labels.items()}
        numbers = [len(self.vocabularies[name]) for name in ("words", "characters")]

        def build() -> keras.Model:
            return self.recipe.sizes.network(*numbers, sizes, *self._base.word_classes(self.recipe.characters))

        model = self._base.restored_floats(self, build)
        for head, labels in self.labels.items():
            if (own := self._base.manifest.labels[head]) != labels:
                rows = [own.index(label if label in own else nearest(label, own)) for label in labels]
                rarer = [label not in own for label in labels]
                model.heads[head].kernel.assign(model.heads[head].kernel.numpy()[:, rows])
                model.heads[head].bias.assign(model.heads[head].bias.numpy()[rows] - rarer)
        return model


class FurtherTagging(ContinuedTagging):
    """Tagging that learns corrections.

    A word without a label in a column is neither learned from nor measured there.
    """

    def predictions(self, predict: Predict, split: str) -> dict[str, Predictions]:
        found = super().predictions(predict, split)
        labelled = {head: given.gold != IGNORED for head, given in found.items()}
        return {
            head: Predictions(given.gold[rows], given.probabilities[rows], given.groups[rows])
            for head, given in found.items()
            if (rows := labelled[head]).any()
        }

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        found = self.predictions(predict, split)
        names = HEADS | {LEMMA: LEMMA_RULES}
        return percentages({names[head]: percent(given.right) for head, given in found.items()}, split)

    def evaluate_text(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        """Measures nothing: the tokenizer is the version's."""
        return ()


def read_task(options: Options, store: Path, console: Console) -> ContinuedTagging:
    """Reads the corrections of `options`, and what keeps the version from forgetting; returns the task.

    Without files, that is the corpus of the version's recipe.

    Raises ArtifactError, ConfigurationError, DataFileError.
    """
    base = BaseVersion(store, options.base, "tag")
    if not options.files:
        return _on_its_corpus(base, options)
    labels = base.manifest.labels
    read = {split: list(treebank.read(read_text(path), path)) for split, path in options.files.items()}
    hold_out: HoldOut[Tree] = by_document(lambda tree: tree.document)
    splits = divided(options, read, hold_out, lambda tree: tree.forms, "sentence", console)
    columns = learnable_columns(splits["train"], labels, console)
    if not columns:
        fault = f"has no tags of {base.name}"
        raise DataFileError(options.files["train"], None, fault, "sentences with tags that it has, right ones")
    learned = labels
    if FEATURES in columns:
        found = treebank.tags(splits["train"], FEATURES, LEAST_NEW)
        learned = labels | {FEATURES: with_new(labels[FEATURES], found)}
    splits = {split: [with_columns(tree, columns, labels) for tree in trees] for split, trees in splits.items()}
    sources = tuple(source(path, options.licence) for path in options.files.values())
    text, kept = rehearsed(base, options, console)
    splits["dev"] += kept
    words = sum(len(tree.words) for tree in splits["train"])
    recipe = base.recipe(TaggingRecipe, TaggerSizes)
    recipe = replace(
        recipe,
        **SETTINGS,
        name=options.name,
        corpus=", ".join(one.sha256[:12] for one in sources),
        limits=f"{recipe.limits} Corrected: goes on from {base.name}, with {words:,} words of corrections.",
        lemmas=LEMMA in labels,
        seed=options.seed,
        epochs=QUICK_EPOCHS if options.quick else EPOCHS,
        distillation_tokens=max(LEAST_REHEARSED, REHEARSED * words),
        chosen_by=HEADS[columns[0]],
    )
    recipe = changed(recipe, options.changes)
    if recipe.chosen_by not in (measured := [HEADS[column] for column in columns]):
        raise ConfigurationError(f"chosen_by={recipe.chosen_by}; right: one of {', '.join(measured)}")
    data = (*base.manifest.data, *sources, *text.sources)
    answered = answers(base, text.sentences, recipe.characters, learned)
    return FurtherTagging(recipe, splits, data, base, learned, answered)


def _on_its_corpus(base: BaseVersion, options: Options) -> ContinuedTagging:
    """Returns the task of learning from the corpus of the version's recipe, as the recipe reads it now.

    And from its teacher's answers, if that has labelled its text here. Features that train has often and the version
    lacks take the place of others.
    """
    made = base.made_by()
    if not isinstance(made, TaggingRecipe):
        raise ConfigurationError(f"--from {options.base} without --data; right: --data FILE, with corrections")
    splits, sources = made.splits()
    limits = f"{made.limits} Goes on from {base.name}, which has learned from the teacher."
    recipe = replace(made, **SETTINGS, epochs=EPOCHS, seed=options.seed, limits=limits)
    data = (*base.manifest.data, *(one for one in sources if one not in base.manifest.data))
    labels = base.manifest.labels
    features = replaced(labels[FEATURES], treebank.tags(splits["train"], FEATURES))
    recipe, labels = changed(recipe, options.changes), labels | {FEATURES: features}
    taught = DistillationSet.read(made.teacher) if made.teacher and DistillationSet.is_here(made.teacher) else None
    return ContinuedTagging(recipe, splits, data, base, labels, taught)


def rehearsed(base: BaseVersion, options: Options, console: Console) -> tuple[unlabelled.UnlabelledText, list[Tree]]:
    """Returns text that the version goes on to tag as before, and sentences of its own dev split, if they are here.

    Raises ConfigurationError if there is no text.
    """
    tokenizer = make_tokenizer(base.manifest.tokenizer or "", base.segmenter)
    if options.unlabelled:
        return unlabelled.of_file(options.unlabelled, options.licence, tokenizer, MOST_ANSWERED, options.seed), []
    corpus = base.corpus()
    if corpus is None:
        raise base.nothing_learned(options.base)
    splits = {split: list(treebank.read(corpora.read(corpus, split))) for split in ("train", "dev")}
    text = unlabelled.UnlabelledText([tree.forms for tree in splits["train"]], ())
    return text, splits["dev"]


def answers(
    base: BaseVersion, sentences: Sequence[tuple[str, ...]], characters: int, learned: Mapping[str, Sequence[str]]
) -> DistillationSet:
    """Returns sentences with the most probable labels that a version gives their words.

    Args:
        characters: the most characters of a word that are read.
        learned: the labels of each head, whose numbers the answers are; labels that the version lacks get nothing.
    """
    labels = base.manifest.labels
    columns = {
        head: [labels[head].index(label) if label in labels[head] else -1 for label in wanted]
        for head, wanted in learned.items()
    }
    examples = [Example(forms, inputs_of(forms, base.vocabularies, characters)) for forms in sentences]
    found: list[dict[str, Array]] = [{}] * len(examples)
    for i, outputs in predict_all(load_endpoint(base.folder, base.manifest.endpoint_name), examples):
        # The last column, of zeros, is for labels that the version lacks.
        padded = {head: np.pad(output[: len(examples[i])], ((0, 0), (0, 1))) for head, output in outputs.items()}
        rows = {head: output[:, columns[head]] for head, output in padded.items()}
        best = {head: np.argsort(-row, kind="stable")[:, :TEACHER_LABELS] for head, row in rows.items()}
        found[i] = {
            name: array
            for head, ids in best.items()
            for name, array in (
                (head, _four(ids.astype(np.int32))),
                (f"{head}_shares", _four(np.take_along_axis(rows[head], ids, axis=-1))),
            )
        }
    counts = Counter(form.lower() for forms in sentences for form in forms)
    return DistillationSet(
        sentences=sentences,
        lengths=np.array([len(forms) for forms in sentences]),
        outputs={name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]},
        words=list(counts),
        counts=np.array(list(counts.values())),
        vectors=np.zeros((len(counts), 0), np.float16),
    )


def _four(array: Array) -> Array:
    """Returns TEACHER_LABELS columns: of a head with fewer labels, 0 behind them."""
    return np.pad(array, ((0, 0), (0, TEACHER_LABELS - array.shape[1])))

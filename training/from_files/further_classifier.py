"""A classifier that goes on from a version: it learns what was corrected, and keeps what it answers otherwise."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from rich.console import Console

from service.artifact.manifest import DataSource, Metric
from service.errors import quantity
from service.text.interruptible import finish
from service.text.languages import make_tokenizer
from service.text.tokenizer import Tokenizer
from service.text.vocabulary import encode_tokens
from training.cells import Tensor
from training.data.corpora import CorpusError, source
from training.data.dataset import Array, Batches, Example, Examples
from training.data.files import DataFileError, read_text
from training.data.labelled_texts import shortened
from training.data.splits import HoldOut, by_label, sample
from training.data.tables import LabelledText, read_labelled
from training.from_files.base_version import BaseVersion, move_back
from training.from_files.continued_sentiment import on_its_corpora
from training.from_files.options import Options, changed
from training.from_files.splits import divided
from training.metrics.predictions import TINY
from training.metrics.scores import CROSS_ENTROPY, percent, percentages
from training.models.sentiment import SentimentSizes
from training.run.versions import load_endpoint
from training.tasks.base import Predict, State, predict_all
from training.tasks.classification import Classification, ClassificationRecipe, TokenizedText
from training.tasks.endpoints import Tensors
from training.tasks.sentiment import LABEL_OF_GRADE, SentimentRecipe

HELD = 10  # every tenth of the other texts is measured, not learned from
MOST_ANSWERED = 30_000  # texts that the version is asked about, as many of each of its corpora
REHEARSED = 3  # other texts in an epoch for each corrected one
LEAST_REHEARSED = 1000  # texts
MOST_REPEATED = 4  # times that a corrected text is in an epoch, where there are few
LEAST_ANSWERED = 30  # texts
EPOCHS, QUICK_EPOCHS = 4, 2
MOVED = 0.75  # of the way from the weights of the version to the best epoch's
SETTINGS: dict[str, Any] = {"learning_rate": 3e-4, "warmup": 0.1, "averaging": 0.99, "balanced": False}
SAME = "the same answer as before, on other texts"


class FurtherClassification(Classification):
    """Classification with the labels, vocabulary and sizes of a version, from whose weights it starts.

    The epoch is chosen by cross-entropy: the accuracy of the few texts of a dev split is the same in many epochs.

    Args:
        base: the version.
        answered: the tokens of other texts, and the probabilities of the labels that it gives them, float32, [N, K];
            a tenth of them is not learned from, but measured.
    """

    chosen_by = CROSS_ENTROPY
    lower_is_better = True

    def __init__(
        self,
        recipe: ClassificationRecipe,
        splits: dict[str, list[TokenizedText]],
        data: tuple[DataSource, ...],
        base: BaseVersion,
        answered: tuple[Sequence[tuple[str, ...]], Array],
    ) -> None:
        self._base = base
        self._shares = np.eye(len(next(iter(base.manifest.labels.values()))), dtype=np.float32)
        classes = label_of_class(base)
        super().__init__(
            recipe, splits, base.manifest.labels, {}, data, label_of_class=classes, vocabularies=base.vocabularies
        )
        self.lengths, self.length_buckets, self.segmenter = (
            base.manifest.lengths,
            base.manifest.length_buckets,
            base.segmenter,
        )
        self._class_of_label = self.label_of_class.argmax(axis=0)  # [K]
        texts, shares = answered
        others = [self._answered(*each) for each in zip(texts, shares, strict=True)]
        self._held, self._others = others[::HELD], [each for i, each in enumerate(others) if i % HELD]

    def network(self) -> keras.Model:
        return self._base.classifier(self)

    def settle(self, model: keras.Model) -> None:
        move_back(model, self.network(), MOVED)

    def train_batches(self, rng: np.random.Generator) -> Batches:
        corrected = self._splits["train"]
        count = max(LEAST_REHEARSED, REHEARSED * len(corrected))
        repeated = min(MOST_REPEATED, max(1, count // (REHEARSED * len(corrected))))
        chosen = [self._others[i] for i in rng.permutation(len(self._others))[:count].tolist()]
        return self._batches(Examples.of([*corrected * repeated, *chosen]), rng)

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        """Returns the mean cross-entropy of the labels' probabilities, for each member apart."""
        classes = ops.softmax(model(**inputs, training=True))  # [M, B, classes]
        labels = ops.matmul(classes, self.label_of_class)  # [M, B, K]
        return -ops.mean(ops.sum(targets["shares"] * ops.log(ops.maximum(labels, TINY)), axis=-1)), state

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        found = dict(predict_all(predict, self._held))
        same = [
            outputs["probabilities"].argmax() == self._held[i].targets["shares"].argmax()
            for i, outputs in found.items()
        ]
        nats = next(iter(self.predictions(predict, split).values())).cross_entropy
        return (
            *super().evaluate(predict, split),
            *percentages({SAME: percent(np.array(same))}, split),
            Metric(name=CROSS_ENTROPY, value=round(nats, 4), unit="nats per text", split=split),
        )

    def _example(self, text: TokenizedText) -> Example:
        """Returns an example whose class is one of the classes of the text's label."""
        found = super()._example(text._replace(class_id=int(self.label_of_class.argmax(axis=0)[text.class_id])))
        return replace(found, targets=found.targets | {"shares": self._shares[text.class_id]})

    def _answered(self, tokens: tuple[str, ...], shares: Array) -> Example:
        found = self._example(TokenizedText(tokens, 0))
        return replace(found, targets=found.targets | {"shares": shares})


def label_of_class(base: BaseVersion) -> Array | None:
    """Returns 1 where a class belongs to a label, as `Classification` takes it; None where classes are labels."""
    labels = tuple(base.settings.get("labels", ()))
    return np.eye(len(labels), dtype=np.float32)[list(LABEL_OF_GRADE[labels])] if labels else None


def read_task(options: Options, store: Path, console: Console) -> Classification:
    """Reads the corrections of `options`, and what keeps the version from forgetting; returns the task.

    Without files, that is the corpora of the version's recipe.

    Raises ArtifactError, ConfigurationError, DataFileError.
    """
    base = BaseVersion(store, options.base, "classify")
    if not options.files:
        return on_its_corpora(base, options)
    ((_, labels),) = base.manifest.labels.items()
    numbers = {label: i for i, label in enumerate(labels)}
    columns = options.text_column, options.label_column
    read = {split: read_labelled(path, *columns) for split, path in options.files.items()}
    for split, texts in read.items():
        for text in texts:
            if text.label not in numbers:
                fault = f"the label {text.label[:60]!r}"
                raise DataFileError(options.files[split], text.line, fault, f"one of {base.name}: {', '.join(labels)}")
    hold_out: HoldOut[LabelledText] = by_label(lambda text: text.label)
    found = divided(options, read, hold_out, lambda text: " ".join(text.text.split()), "text", console)
    recipe = base.recipe(ClassificationRecipe, SentimentSizes)
    tokenizer = make_tokenizer(base.manifest.tokenizer or "", base.segmenter)
    splits = {
        split: [TokenizedText(_tokens(tokenizer, text.text, recipe.longest), numbers[text.label]) for text in texts]
        for split, texts in found.items()
    }
    others, sources = rehearsed(base, options, tokenizer, recipe.longest)
    data = tuple(source(path, options.licence) for path in options.files.values())
    recipe = replace(
        recipe,
        **SETTINGS,
        name=options.name,
        corpus=", ".join(one.sha256[:12] for one in data),
        limits=f"{recipe.limits} Corrected: goes on from {base.name}, with {len(splits['train']):,} corrected texts.",
        seed=options.seed,
        epochs=QUICK_EPOCHS if options.quick else EPOCHS,
    )
    recipe = changed(recipe, options.changes)
    answered = others, answers(base, others)
    return FurtherClassification(recipe, splits, (*base.manifest.data, *data, *sources), base, answered)


def rehearsed(
    base: BaseVersion, options: Options, tokenizer: Tokenizer, longest: int
) -> tuple[list[tuple[str, ...]], tuple[DataSource, ...]]:
    """Returns the tokens of texts that the version goes on to classify as before, and the origin of a file of them.

    Raises ConfigurationError, DataFileError.
    """
    sources: tuple[DataSource, ...] = ()
    if options.unlabelled:
        lines = [line for line in read_text(options.unlabelled).split("\n") if line.strip()]
        found = [_tokens(tokenizer, line, longest) for line in sample(lines, MOST_ANSWERED, options.seed)]
        sources = (source(options.unlabelled, options.licence),)
        if len(found) < LEAST_ANSWERED:
            right = f"{LEAST_ANSWERED}, each in a line"
            raise DataFileError(options.unlabelled, None, quantity(len(found), "text"), right)
        return found, sources
    corpora = learned_texts(base, longest)
    if not corpora:
        raise base.nothing_learned(options.base)
    return [text for texts in corpora for text in sample(texts, MOST_ANSWERED // len(corpora), options.seed)], sources


def learned_texts(base: BaseVersion, longest: int) -> list[list[tuple[str, ...]]]:
    """Returns the tokens of the texts that a version has learned from, by corpus, of those corpora that are here."""
    if not base.settings.get("labels"):  # made of files
        return []
    recipe, tokenizer = base.recipe(SentimentRecipe, SentimentSizes), Tokenizer()
    found = []
    for corpus in (recipe.corpus, *recipe.further, *recipe.statements):
        with suppress(CorpusError):
            found.append([shortened(tree[-1].tokens, longest) for tree in recipe.read(corpus, tokenizer)["train"]])
    return found


def answers(base: BaseVersion, texts: Sequence[tuple[str, ...]]) -> Array:
    """Returns the probabilities of the labels that a version gives texts, float32, shape [N, K]."""
    examples = [Example(tokens, {"word_ids": encode_tokens(tokens, base.vocabularies["words"])}) for tokens in texts]
    outputs = dict(predict_all(load_endpoint(base.folder, base.manifest.endpoint_name), examples))
    return np.stack([outputs[i]["probabilities"] for i in range(len(examples))])


def _tokens(tokenizer: Tokenizer, text: str, longest: int) -> tuple[str, ...]:
    return shortened(finish(tokenizer.words(text)) or [" "], longest)

"""Accuracy, cross-entropy and recall, as the tasks report them."""

import math
from collections.abc import Mapping

import numpy as np
from sklearn.metrics import f1_score, recall_score

from service.artifact.manifest import Metric
from training.data.dataset import Array

ALL_TAGS = "AllTags"
LEMMAS = "Lemmas"
LEMMA_RULES = "lemma rules"
CROSS_ENTROPY = "cross-entropy"
SST2 = "SST-2 accuracy"
SST5 = "SST-5 accuracy"
POLARITY = "accuracy of positive and negative"
ACCURACY = "accuracy"
MACRO_RECALL = "macro recall"
MACRO_F1 = "macro F1"
ALL_LABELS = {3: "accuracy of three labels", 5: SST5}


def percentages(figures: Mapping[str, float], split: str) -> tuple[Metric, ...]:
    """Returns figures in percent by name as metrics of a split."""
    return tuple(Metric(name=name, value=value, unit="%", split=split) for name, value in figures.items())


def tagging_accuracy(right: Mapping[str, Array], known: Array, split: str) -> tuple[Metric, ...]:
    """Returns the accuracy of each column, and of all columns at once, as the CoNLL 2018 shared task names them.

    Args:
        right: for each column, whether the tag of each word is right, bool, shape [N].
        known: whether the word's form occurs in the train split, bool, shape [N].
    """
    return word_accuracy(dict(right) | {ALL_TAGS: np.logical_and.reduce(list(right.values()))}, known, split)


def word_accuracy(columns: Mapping[str, Array], known: Array, split: str) -> tuple[Metric, ...]:
    """Returns the accuracy of each column on all words, on known and on unknown words; see tagging_accuracy."""
    parts = {"": np.ones_like(known), ", known words": known, ", unknown words": ~known}
    figures = {name + suffix: percent(columns[name][part]) for suffix, part in parts.items() for name in columns}
    return percentages(figures, split)


def percent(right: Array) -> float:
    """Returns the accuracy in percent; 0 for no items."""
    return round(100 * float(right.mean()), 2) if right.size else 0.0


def cross_entropy(nats: float, split: str, unit: str = "character") -> tuple[Metric, ...]:
    """Returns the mean loss of characters or words in nats, and in bits, or as the perplexity that words have.

    Args:
        nats: the mean of minus the log-probability.
        unit: "character" or "word".
    """
    nats = float(nats)
    other = (
        Metric(name="bits per character", value=round(nats / math.log(2), 4), unit="bits", split=split)
        if unit == "character"
        else Metric(name="perplexity", value=round(math.exp(nats), 2), unit="", split=split)
    )
    return Metric(name=CROSS_ENTROPY, value=round(nats, 4), unit=f"nats per {unit}", split=split), other


def macro_recall(predicted: Array, labels: Array) -> float:
    """Returns the mean recall of the labels that occur, in percent, as SemEval-2017 scores tweets."""
    recall = recall_score(labels, predicted, labels=np.unique(labels), average="macro")
    return round(100 * float(recall), 2)


def macro_f1(predicted: Array, labels: Array) -> float:
    """Returns the mean F1 of the labels that occur, in percent."""
    f1 = f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)
    return round(100 * float(f1), 2)


def label_accuracy(predicted: Array, labels: Array, split: str) -> tuple[Metric, ...]:
    """Returns the accuracy, and the mean recall and the mean F1 of the labels that occur, all in percent.

    Args:
        predicted, labels: int, shape [N].
    """
    figures = {
        ACCURACY: percent(predicted == labels),
        MACRO_RECALL: macro_recall(predicted, labels),
        MACRO_F1: macro_f1(predicted, labels),
    }
    return percentages(figures, split)


def right_side(probabilities: Array, labels: Array) -> tuple[Array, Array]:
    """Returns whether the side of each text, positive or negative, is right, and whether it has one, bool, shape [N].

    Args:
        probabilities: of labels from negative over neutral to positive, shape [N, K = 3 or 5].
        labels: 0 to K - 1, shape [N].
    """
    middle = probabilities.shape[1] // 2
    positive = probabilities[:, middle + 1 :].sum(axis=-1) > probabilities[:, :middle].sum(axis=-1)
    return positive == (labels > middle), labels != middle


def sentiment_accuracy(probabilities: Array, labels: Array, split: str, polarity: str = SST2) -> tuple[Metric, ...]:
    """Returns the accuracy of positive against negative, the accuracy of all labels, and macro recall.

    The first leaves the neutral texts out: the probability of the labels above the middle one is compared with that of
    those below it.

    Args:
        probabilities: of labels from negative over neutral to positive, shape [N, K = 3 or 5].
        labels: 0 to K - 1, shape [N].
        polarity: what the first is called on this corpus.
    """
    right, polar = right_side(probabilities, labels)
    predicted = probabilities.argmax(axis=-1)
    figures = {
        polarity: percent(right[polar]),
        ALL_LABELS[probabilities.shape[1]]: percent(predicted == labels),
        MACRO_RECALL: macro_recall(predicted, labels),
    }
    return percentages(figures, split)

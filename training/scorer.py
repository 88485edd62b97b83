"""The field's metrics."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from service.artifact import Metric
from training.dataset import Array

ALL_TAGS = "AllTags"
CROSS_ENTROPY = "cross-entropy"
SST2 = "SST-2 accuracy"


def tagging_accuracy(right: Mapping[str, Array], known: Array, split: str) -> tuple[Metric, ...]:
    """Returns the accuracy of each column, and of all columns at once, as the CoNLL 2018 shared task names them.

    Args:
        right: for each column, whether the tag of each word is right  # [N] bool.
        known: whether the word's form occurs in the train split  # [N] bool.
    """
    columns = dict(right) | {ALL_TAGS: np.logical_and.reduce(list(right.values()))}
    parts: Sequence[tuple[str, Array]] = [
        ("", np.ones_like(known)),
        (", known words", known),
        (", unknown words", ~known),
    ]
    return tuple(
        Metric(name=name + suffix, value=percent(column[part]), unit="%", split=split)
        for suffix, part in parts
        for name, column in columns.items()
    )


def percent(right: Array) -> float:
    """Returns the share that is right, in percent, 0 of none."""
    return round(100 * float(right.mean()), 2) if right.size else 0.0


def cross_entropy(losses: Array, split: str) -> tuple[Metric, ...]:
    """Returns the mean loss of characters in nats and in bits. losses: minus the log-probability of each  # [N]."""
    nats = float(losses.mean())
    return (
        Metric(name=CROSS_ENTROPY, value=round(nats, 4), unit="nats per character", split=split),
        Metric(name="bits per character", value=round(nats / math.log(2), 4), unit="bits", split=split),
    )


def sentiment_accuracy(probabilities: Array, labels: Array, split: str) -> tuple[Metric, ...]:
    """Returns the accuracy on SST-2, and on all labels.

    SST-2 leaves the neutral texts out and asks which of the others are positive; the probabilities of negative and
    positive are compared.

    Args:
        probabilities: of negative, neutral, positive  # [N, 3].
        labels: 0 negative, 1 neutral, 2 positive  # [N].
    """
    polar = labels != 1
    positive = probabilities[:, 2] > probabilities[:, 0]
    right = {
        SST2: (positive == (labels == 2))[polar],
        "accuracy of three labels": probabilities.argmax(axis=-1) == labels,
    }
    return tuple(Metric(name=name, value=percent(rows), unit="%", split=split) for name, rows in right.items())

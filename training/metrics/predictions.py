"""Predictions of a model on a split, F1 per label, and the interval of accuracy."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from training.data.dataset import Array

RESAMPLED = 1000
TINY = 1e-30  # the least probability whose logarithm is taken
INTERVAL = (2.5, 97.5)  # percentiles: 95 % of the resampled values lie between


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions for N items: the words of all sentences, or the texts.

    Attributes:
        gold: the right label, negative where the model does not have it, int, shape [N].
        probabilities: of each label, shape [N, K].
        groups: the sentence or text that each item belongs to, counted from 0, int, shape [N].
    """

    gold: Array
    probabilities: Array
    groups: Array

    @classmethod
    def certain(cls, gold: Array, labels: Array, count: int, groups: Array) -> Self:
        """Returns predictions that give each item's label the probability 1. labels: int, shape [N]; count: K."""
        return cls(gold, np.eye(count, dtype=np.float32)[labels], groups)

    @property
    def labels(self) -> Array:
        """The most probable label, shape [N]."""
        labels: Array = self.probabilities.argmax(axis=-1)
        return labels

    @property
    def right(self) -> Array:
        """Whether the most probable label is the right one, bool, shape [N]."""
        right: Array = self.labels == self.gold
        return right

    @property
    def cross_entropy(self) -> float:
        """The mean of minus the log-probability of the right label, where the model has it, in nats; 0 if nowhere."""
        known = self.gold >= 0
        logarithms = np.log(np.maximum(self.probabilities[known, self.gold[known]], TINY))
        return float(-logarithms.mean()) if len(logarithms) else 0.0


class LabelScore(NamedTuple):
    """Precision, recall and F1 of one label, in percent; `support` is the number of items that have it."""

    precision: float
    recall: float
    f1: float
    support: int


def label_scores(predictions: Predictions) -> list[LabelScore]:
    """Returns the scores of each label; 0 where there is nothing to divide by."""
    columns = precision_recall_fscore_support(
        predictions.gold, predictions.labels, labels=range(predictions.probabilities.shape[1]), zero_division=0
    )
    return [LabelScore(100 * p, 100 * r, 100 * f, int(n)) for p, r, f, n in zip(*columns, strict=True)]


def interval(predictions: Predictions) -> tuple[float, float]:
    """Returns the 95 % interval of accuracy, in percent, from resampled splits (Efron 1979).

    Whole sentences are drawn, with replacement: the errors of words of one sentence depend on each other.
    """
    return resampled(*by_group(predictions.groups, predictions.right))


def difference_interval(one: Predictions, other: Predictions) -> tuple[float, float]:
    """Returns the 95 % interval of the accuracy gained from `one` to `other`, in percentage points.

    Both are predictions for the same items. Each resampled split is the same for both, so that what is hard for both
    does not count (paired bootstrap, Koehn 2004).
    """
    return resampled(*by_group(one.groups, other.right.astype(int) - one.right))


def by_group(groups: Array, values: Array) -> tuple[Array, Array]:
    """Returns 100 times the sum of the values of each group, and the number of its items; both of shape [groups]."""
    return 100 * np.bincount(groups, weights=values), np.bincount(groups)


def resampled(sums: Array, sizes: Array) -> tuple[float, float]:
    """Returns the INTERVAL of the mean of all items over resampled groups.

    Args:
        sums: of the values of each group, shape [groups].
        sizes: number of the items of each group, shape [groups].
    """
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=RESAMPLED)  # [RESAMPLED, groups]
    low, high = np.percentile((drawn @ sums) / (drawn @ sizes), INTERVAL)
    return float(low), float(high)

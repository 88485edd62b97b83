"""What a model answers for the items of a split, and what that says of it beyond one number."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from training.dataset import Array

BINS = 15  # of confidence, as in Guo et al. (2017)
RESAMPLED = 1000
INTERVAL = (2.5, 97.5)  # percentiles: 95 % of the resampled values lie between


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model gives for N items, the words of all sentences or the texts.

    Attributes:
        gold: the right label, negative where it is none that the model knows  # [N] int.
        probabilities: of each label  # [N, K].
        groups: the sentence or text that each item belongs to, from 0  # [N] int.
    """

    gold: Array
    probabilities: Array
    groups: Array

    @property
    def given(self) -> Array:
        """The most probable label  # [N]."""
        given: Array = self.probabilities.argmax(axis=-1)
        return given

    @property
    def right(self) -> Array:
        """Whether that is the right one  # [N] bool."""
        right: Array = self.given == self.gold
        return right


class LabelScore(NamedTuple):
    """How well one label is found. Precision, recall and F1 in percent; `support` is how many right answers have it."""

    precision: float
    recall: float
    f1: float
    support: int


class Reliability(NamedTuple):
    """Confidence, share that is right, and share of all items, of each bin of confidence; each  # [BINS]."""

    confidence: Array
    accuracy: Array
    share: Array


def confusion(answers: Answers) -> Array:
    """Returns how often each label was taken for each: right, given  # [K, K]. Unknown labels are left out."""
    labels = answers.probabilities.shape[1]
    counts = np.zeros((labels, labels), np.int64)
    known = answers.gold >= 0
    np.add.at(counts, (answers.gold[known], answers.given[known]), 1)
    return counts


def label_scores(answers: Answers) -> list[LabelScore]:
    """Returns precision, recall and F1 of each label; 0 where there is nothing to divide by."""
    right = np.diag(confusion(answers))
    given = np.bincount(answers.given, minlength=len(right))
    gold = np.bincount(answers.gold[answers.gold >= 0], minlength=len(right))
    columns = (right / np.maximum(given, 1), right / np.maximum(gold, 1), 2 * right / np.maximum(given + gold, 1))
    return [
        LabelScore(100 * float(precision), 100 * float(recall), 100 * float(f1), int(support))
        for precision, recall, f1, support in zip(*columns, gold, strict=True)
    ]


def interval(answers: Answers) -> tuple[float, float]:
    """Returns the bounds of accuracy, in percent, that 95 % of resampled splits stay in (Efron 1979).

    Whole sentences are drawn, with replacement: words of one sentence are right or wrong together.
    """
    sizes = np.bincount(answers.groups)
    right = np.bincount(answers.groups, weights=answers.right)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=RESAMPLED)  # [RESAMPLED, groups]
    low, high = np.percentile(100 * (drawn @ right) / (drawn @ sizes), INTERVAL)
    return float(low), float(high)


def reliability(answers: Answers) -> Reliability:
    """Sorts answers by how sure the model is of them."""
    sure = answers.probabilities.max(axis=1)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    confidence, accuracy = (np.bincount(bins, x, BINS) / np.maximum(counts, 1) for x in (sure, answers.right))
    return Reliability(confidence, accuracy, counts / len(bins))


def calibration_error(answers: Answers) -> float:
    """Returns the expected calibration error, in percent: how far confidence is from the share that is right."""
    confidence, accuracy, share = reliability(answers)
    return 100 * float(np.sum(share * np.abs(confidence - accuracy)))


def least_calibration_error(answers: Answers) -> float:
    """Returns what a model that is as sure, and rightly so, would have on average, in percent.

    It is not zero: in a bin of few items, as many as were to be expected are hardly ever right (Vaicenavicius et al.
    2019). What an item's confidence is, is its chance of being right, drawn RESAMPLED times.
    """
    sure = answers.probabilities.max(axis=1)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    expected = np.bincount(bins, sure, BINS)
    rng = np.random.default_rng(0)
    errors = [
        np.abs(np.bincount(bins, rng.random(len(sure)) < sure, BINS) - expected).sum() / len(sure)
        for _ in range(RESAMPLED)
    ]
    return 100 * float(np.mean(errors))


def temperature(answers: Answers) -> float:
    """Returns what to divide the logits by, so that the right labels are most probable (Guo et al. 2017).

    The logarithm of the probabilities stands for the logits: a constant between them makes no difference. The loss is
    convex in 1 / T; its minimum is closed in on from both sides.
    """
    known = answers.gold >= 0
    logits = np.log(np.maximum(answers.probabilities[known].astype(np.float64), 1e-12))
    rows, gold = np.arange(len(logits)), answers.gold[known]

    def slope(sharpness: float) -> float:
        """Returns the derivative of the mean loss by 1 / T."""
        scaled = sharpness * logits
        shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return float((np.sum(shares * logits, axis=1) - logits[rows, gold]).mean())

    low, high = 0.05, 20.0  # of 1 / T
    for _ in range(50):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 1 / low

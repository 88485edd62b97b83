"""Statistics of predictions: confusion, F1 of labels, intervals."""

import numpy as np
import pytest

from training.metrics.predictions import Predictions, confusion, interval, label_scores


def predictions(gold: list[int], given: list[int], sure: float = 1.0, labels: int = 3) -> Predictions:
    """Returns predictions that give one label a probability of `sure`, and the others equal shares of the rest."""
    probabilities = np.full((len(gold), labels), (1 - sure) / (labels - 1))
    probabilities[np.arange(len(gold)), given] = sure
    return Predictions(np.array(gold), probabilities, np.arange(len(gold)))


def test_confusion_and_scores_of_labels() -> None:
    made = predictions([0, 0, 0, 1, 1, 2, -2], [0, 0, 1, 1, 0, 2, 1])
    np.testing.assert_array_equal(confusion(made), [[2, 1, 0], [1, 1, 0], [0, 0, 1]])
    first, second, third = label_scores(made)
    assert first == pytest.approx((200 / 3, 200 / 3, 200 / 3, 3))
    assert second == pytest.approx((100 / 3, 50, 40, 2))  # what has a label unknown to the model was taken for it, too
    assert third == (100, 100, 100, 1)


def test_a_label_that_never_occurs_scores_nothing() -> None:
    assert label_scores(predictions([0], [0]))[1:] == [(0, 0, 0, 0)] * 2


def test_an_interval_is_as_wide_as_chance_makes_it() -> None:
    rng = np.random.default_rng(1)
    gold = np.zeros(1000, int)
    given = (rng.random(1000) < 0.1).astype(int)
    low, high = interval(predictions(gold.tolist(), given.tolist()))
    assert low < 100 * np.mean(given == 0) < high
    assert high - low == pytest.approx(2 * 1.96 * 100 * np.sqrt(0.1 * 0.9 / 1000), rel=0.15)


def test_words_of_one_sentence_are_drawn_together() -> None:
    right = np.repeat(np.arange(100) % 2, 10)  # whole sentences right or wrong
    loose = predictions(np.zeros(1000, int).tolist(), right.tolist())
    together = Predictions(loose.gold, loose.probabilities, np.repeat(np.arange(100), 10))
    (low, high), (wide_low, wide_high) = interval(loose), interval(together)
    assert wide_high - wide_low == pytest.approx(np.sqrt(10) * (high - low), rel=0.2)

"""Figures of predictions: accuracy, F1 of labels, intervals, calibration."""

import numpy as np
import pytest

from training.metrics.calibration import calibration_error, label_temperature
from training.metrics.predictions import Predictions, interval, label_scores
from training.metrics.scores import tagging_accuracy


def predictions(gold: list[int], given: list[int], sure: float = 1.0, labels: int = 3) -> Predictions:
    """Returns predictions that give one label a probability of `sure`, and the others equal shares of the rest."""
    probabilities = np.full((len(gold), labels), (1 - sure) / (labels - 1))
    probabilities[np.arange(len(gold)), given] = sure
    return Predictions(np.array(gold), probabilities, np.arange(len(gold)))


def test_scores_of_labels():
    made = predictions([0, 0, 0, 1, 1, 2, -2], [0, 0, 1, 1, 0, 2, 1])
    first, second, third = label_scores(made)
    assert first == pytest.approx((200 / 3, 200 / 3, 200 / 3, 3))
    assert second == pytest.approx((100 / 3, 50, 40, 2))  # what has a label unknown to the model was taken for it, too
    assert third == (100, 100, 100, 1)


def test_labels_that_the_model_does_not_have_count_in_no_cross_entropy_and_no_temperature():
    assert predictions([0, -2], [0, 1], sure=0.5).cross_entropy == pytest.approx(np.log(2))
    unknown = predictions([-2, -2], [0, 1])
    assert (unknown.cross_entropy, label_temperature(unknown)) == (0, 1)


def test_an_interval_is_as_wide_as_chance_makes_it():
    rng = np.random.default_rng(1)
    gold = np.zeros(1000, int)
    given = (rng.random(1000) < 0.1).astype(int)
    low, high = interval(predictions(gold.tolist(), given.tolist()))
    assert low < 100 * np.mean(given == 0) < high
    assert high - low == pytest.approx(2 * 1.96 * 100 * np.sqrt(0.1 * 0.9 / 1000), rel=0.15)


def test_words_of_one_sentence_are_drawn_together():
    right = np.repeat(np.arange(100) % 2, 10)  # whole sentences right or wrong
    loose = predictions(np.zeros(1000, int).tolist(), right.tolist())
    together = Predictions(loose.gold, loose.probabilities, np.repeat(np.arange(100), 10))
    (low, high), (wide_low, wide_high) = interval(loose), interval(together)
    assert wide_high - wide_low == pytest.approx(np.sqrt(10) * (high - low), rel=0.2)


def test_tagging_accuracy_of_all_known_and_unknown_words():
    right = {"UPOS": np.array([True, True, False, True]), "XPOS": np.array([True, False, False, True])}
    metrics = tagging_accuracy(right, np.array([True, True, True, False]), "dev")
    values = {metric.name: metric.value for metric in metrics}
    assert values["UPOS"] == 75
    assert values["XPOS"] == 50
    assert values["AllTags"] == 50
    assert values["UPOS, known words"] == 66.67
    assert values["UPOS, unknown words"] == 100
    assert {(metric.unit, metric.split) for metric in metrics} == {("%", "dev")}


def sampled(sharpness: float, items: int = 20_000) -> Predictions:
    """Returns predictions whose logits are `sharpness` times as large as those that the right labels were drawn by."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(items, 4)) * 2
    gold = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    shares = np.exp(sharpness * logits)
    return Predictions(gold, shares / shares.sum(axis=1, keepdims=True), np.arange(items))


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    assert calibration_error(predictions([0] * 4, [0, 0, 0, 1], sure=0.75)) == pytest.approx(0)
    assert calibration_error(predictions([0] * 4, [0, 0, 1, 1], sure=0.9)) == pytest.approx(40)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature_undoes_overconfidence(sharpness):
    made = sampled(sharpness)
    found = label_temperature(made)
    assert found == pytest.approx(sharpness, rel=0.05)
    cooled = np.exp(np.log(made.probabilities) / found)
    mended = Predictions(made.gold, cooled / cooled.sum(axis=1, keepdims=True), made.groups)
    np.testing.assert_array_equal(mended.labels, made.labels)
    assert calibration_error(mended) < 2
    if sharpness != 1:
        assert calibration_error(made) > 5

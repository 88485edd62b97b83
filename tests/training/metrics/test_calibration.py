"""Calibration: its error, how much of it is chance, and the temperature that removes it."""

import numpy as np
import pytest

from tests.training.metrics.test_predictions import predictions
from training.metrics.calibration import calibration_error, chance_calibration_error, label_temperature, reliability
from training.metrics.predictions import Predictions


def sampled(sharpness: float, items: int = 20_000) -> Predictions:
    """Returns predictions whose logits are `sharpness` times as large as those that the right labels were drawn by."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(items, 4)) * 2
    gold = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    shares = np.exp(sharpness * logits)
    return Predictions(gold, shares / shares.sum(axis=1, keepdims=True), np.arange(items))


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    assert calibration_error(predictions([0] * 4, [0, 0, 0, 1], sure=0.75)) == pytest.approx(0)
    assert calibration_error(predictions([0] * 4, [0, 0, 1, 1], sure=0.9)) == pytest.approx(40)
    bins = reliability(predictions([0] * 4, [0, 0, 1, 1], sure=0.9))
    assert bins.share.sum() == pytest.approx(1)
    assert bins.accuracy[bins.share > 0] == pytest.approx(0.5)


def test_the_smaller_a_split_the_more_of_its_calibration_error_is_chance() -> None:
    made = sampled(1.0)  # calibrated, so chance is all there is
    parts = [Predictions(*(part[i::20] for part in (made.gold, made.probabilities, made.groups))) for i in range(20)]
    by_chance = float(np.mean([chance_calibration_error(part) for part in parts]))
    assert by_chance == pytest.approx(float(np.mean([calibration_error(part) for part in parts])), rel=0.2)
    assert by_chance > 4 * chance_calibration_error(made)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature_undoes_overconfidence(sharpness: float) -> None:
    made = sampled(sharpness)
    found = label_temperature(made)
    assert found == pytest.approx(sharpness, rel=0.05)
    cooled = np.exp(np.log(made.probabilities) / found)
    mended = Predictions(made.gold, cooled / cooled.sum(axis=1, keepdims=True), made.groups)
    np.testing.assert_array_equal(mended.labels, made.labels)
    assert calibration_error(mended) < 2
    if sharpness != 1:
        assert calibration_error(made) > 5

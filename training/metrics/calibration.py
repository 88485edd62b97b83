"""Calibration: how far the probability of a prediction is from its accuracy, and the temperature that corrects it."""

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from training.data.dataset import Array
from training.metrics.predictions import Predictions

BINS = 15  # of confidence, as in Guo et al. (2017)
DRAWS = 1000
HIGHEST_TEMPERATURE = 20.0  # the lowest is its inverse
SMALLEST = 1e-12  # stands for a probability of 0, which has no logarithm


def calibration_error(predictions: Predictions) -> float:
    """Returns the expected calibration error, in percent: the mean distance of confidence from accuracy over BINS."""
    confidences, bins = _binned(predictions)
    expected, right = (np.bincount(bins, values, BINS) for values in (confidences, predictions.right))
    return 100 * float(np.abs(right - expected).sum()) / len(bins)


def chance_calibration_error(predictions: Predictions) -> float:
    """Returns the mean calibration error of a perfectly calibrated model with the same confidences, in percent.

    It is above 0, since the accuracy of a small bin differs from its expectation by chance (Vaicenavicius et al. 2019).
    Whether an item is right is drawn by its confidence, DRAWS times.
    """
    confidences, bins = _binned(predictions)
    expected = np.bincount(bins, confidences, BINS)
    rng = np.random.default_rng(0)
    errors = [
        np.abs(np.bincount(bins, rng.random(len(confidences)) < confidences, BINS) - expected).sum() / len(confidences)
        for _ in range(DRAWS)
    ]
    return 100 * float(np.mean(errors))


def best_temperature(loss: Callable[[float], float]) -> float:
    """Returns the temperature at which a loss is lowest; the logits are to be divided by it (Guo et al. 2017)."""
    limit = math.log(HIGHEST_TEMPERATURE)
    found = minimize_scalar(
        lambda logarithm: loss(math.exp(logarithm)), bounds=(-limit, limit), method="bounded", options={"xatol": 1e-9}
    )
    return math.exp(found.x)


def label_temperature(predictions: Predictions) -> float:
    """Returns the temperature at which the right labels are most probable; 1 if the model has none of them.

    The logarithms of the probabilities stand for the logits: they differ by a constant, which makes no difference.
    """
    known = predictions.gold >= 0
    if not known.any():
        return 1.0
    logits = np.log(np.maximum(predictions.probabilities[known].astype(np.float64), SMALLEST))
    rows, gold = np.arange(len(logits)), predictions.gold[known]
    return best_temperature(lambda temperature: -float(log_softmax(logits / temperature, axis=1)[rows, gold].mean()))


def _binned(predictions: Predictions) -> tuple[Array, Array]:
    """Returns the probability of each predicted label, and its bin, each of shape [N]."""
    confidences = predictions.probabilities.max(axis=1)
    return confidences, np.minimum((confidences * BINS).astype(int), BINS - 1)

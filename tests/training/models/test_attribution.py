"""Contributions of words to a classification: they sum to the log-odds, and the words with the largest matter most."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.training.tiny import sentiment
from training.data.dataset import Array, collate
from training.models.attribution import classify
from training.run.loop import round_weights
from training.tasks.sentiment import Sentiment

LABELS = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], np.float32)


def log_odds(probabilities: Array) -> Array:
    """Returns ln p - ln (1 - p), from the other labels' sum, which keeps its digits where p is nearly 1."""
    others = np.stack([np.delete(probabilities, k, -1).sum(-1) for k in range(probabilities.shape[-1])], -1)
    odds: Array = np.log(probabilities) - np.log(others)
    return odds


@pytest.mark.parametrize("scale", [1e-4, 0.1, 1.0, 6.0])
def test_contributions_and_baseline_sum_to_the_log_odds(scale):
    rng = np.random.default_rng(0)
    shares = rng.normal(0, scale, (2, 50, 9, 5)).astype(np.float32)
    biases = rng.normal(0, 1, (2, 5)).astype(np.float32)
    found = classify(shares, biases, LABELS)
    assert found.contributions.shape == (50, 9, 3)
    sums = np.asarray(found.baseline) + np.asarray(found.contributions).sum(axis=1)
    np.testing.assert_allclose(sums, log_odds(np.asarray(found.probabilities)), atol=1e-4)
    grades = np.asarray(ops.softmax(biases)).mean(axis=0) @ LABELS
    np.testing.assert_allclose(found.baseline, np.tile(log_odds(grades), (50, 1)), atol=1e-5)


def random_model() -> tuple[Sentiment, keras.Model]:
    """Returns a classifier of which every weight counts."""
    task = sentiment()
    model = task.network()
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    return task, model


def test_the_shares_of_words_add_up_to_the_logits():
    task, model = random_model()
    inputs = collate(task.goldens()).inputs
    shares, biases = model.shares(**inputs)
    assert np.abs(np.asarray(biases)).min() > 0
    logits = np.asarray(model(**inputs))
    np.testing.assert_allclose(np.asarray(shares).sum(axis=2) + np.asarray(biases)[:, None], logits, atol=1e-5)
    for row, length in enumerate(inputs["lengths"]):
        assert not np.asarray(shares)[:, row, length:].any(), "padding has a share"


@pytest.mark.parametrize("rounded", [False, True])
def test_contributions_are_the_same_alone_in_a_batch_and_in_served_endpoints(rounded):
    task, model = random_model()
    if rounded:
        round_weights(task, model)
    examples = task.goldens()
    inputs = collate(examples).inputs
    together = {name: np.asarray(values) for name, values in task.predict(model, inputs).items()}
    for row, example in enumerate(examples):
        for name, values in task.predict(model, collate([example]).inputs).items():
            expected = together[name][row][: len(example) if name == "contributions" else None]
            np.testing.assert_allclose(np.asarray(values)[0], expected, atol=2e-5, err_msg=name)
    functions = task.served_endpoints(model)
    table = dict(functions["project"].compute())
    assert ("scales" in table) == rounded
    inputs |= {"table": table.pop("projected"), **table}
    cut = [functions[name].compute(**inputs) for name in ("classify_from_table", "explain")]
    for name, values in (dict(cut[0]) | dict(cut[1])).items():
        np.testing.assert_allclose(np.asarray(values), together[name], atol=2e-5, err_msg=name)

"""The translator: it generates the most probable subwords, and its attention is a distribution."""

from typing import Any

import keras
import numpy as np
import pytest

from service.text.vocabulary import PAD
from tests.training import tiny
from training.course.models.translator import longest
from training.data.dataset import Batch, collate


@pytest.fixture(scope="module")
def model() -> Any:
    """A network with random weights, large enough that its answers differ."""
    keras.utils.set_random_seed(1)
    network = tiny.translation().network()
    for weight in network.trainable_variables:
        weight.assign(3.0 * weight)
    return network


@pytest.fixture(scope="module")
def batch() -> Batch:
    return collate(tiny.translation()._examples)


def test_each_generated_subword_is_the_most_probable_after_those_before_it(model: Any, batch: Batch) -> None:
    ids = np.asarray(model.translate(**batch.inputs))
    assert len(np.unique(ids)) > 5
    steps = np.full(len(ids), ids.shape[1], np.int32)
    best = np.asarray(model(**batch.inputs, translation=ids, steps=steps)).argmax(axis=-1)
    for row, expected, limit in zip(ids, best, longest(batch.inputs["lengths"]), strict=True):
        end = row.tolist().index(PAD) if PAD in row else len(row)
        assert end <= limit
        np.testing.assert_array_equal(row[:end], expected[:end])
        assert end == limit or expected[end] == PAD
        assert (row[end:] == PAD).all()


def test_attention_is_a_distribution_over_what_was_read(model: Any, batch: Batch) -> None:
    ids, weights = (np.asarray(output) for output in model.attend(**batch.inputs, steps=5))
    assert weights.shape == (20, 5, batch.inputs["symbol_ids"].shape[1])
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    for row, length in zip(weights, batch.inputs["lengths"], strict=True):
        np.testing.assert_array_equal(row[:, length:], 0)
    expected = np.asarray(model.translate(**batch.inputs))[:, :5]
    going = np.cumprod(expected != PAD, axis=1).astype(bool)
    np.testing.assert_array_equal(ids[going], expected[going])

"""Padding changes no output, no loss and no gradient of a network, whatever the lengths in a batch are."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.tiny import sentiment, tagging, translation, treebank_with_lemmas
from training.data.dataset import IGNORED, Batch, Example, collate
from training.models.tagger import Tagger, TaggerSizes
from training.run.step import any_size
from training.tasks.base import Task

NO_DROPOUT = TaggerSizes(
    word_embedding=4, character_embedding=3, character_units=2, units=3, input_dropout=0, output_dropout=0
)


def widened(batch: Batch, by: int) -> Batch:
    """Returns the batch with that many more positions of padding."""

    def widen(arrays: dict[str, Any], value: int) -> dict[str, Any]:
        positions = next(iter(batch.inputs.values())).shape[1]
        return {
            name: np.pad(array, [(0, 0), (0, by), *[(0, 0)] * (array.ndim - 2)], constant_values=value)
            if array.ndim > 1 and array.shape[1] == positions
            else array
            for name, array in arrays.items()
        }

    return Batch(widen(batch.inputs, 0), widen(batch.targets, IGNORED))


TAGGER = tagging(splits=treebank_with_lemmas(), sizes=replace(NO_DROPOUT, affix_embedding=2, linear=True))
CLASSIFIER, TRANSLATOR = sentiment(), translation()
NETWORKS: dict[str, tuple[Task, list[Example]]] = {
    "tagger with a linear model and lemma rules": (TAGGER, [*TAGGER._splits["test"], *TAGGER._splits["dev"]]),
    "classifier": (CLASSIFIER, CLASSIFIER._splits["dev"]),
    "translator": (TRANSLATOR, TRANSLATOR._examples),
}


@cache
def traced(kind: str) -> Callable[..., Any]:
    """Returns a function of inputs and targets that is traced once for all examples: that takes longer than they do.

    It returns loss, outputs of the endpoint and gradients.
    """
    keras.utils.set_random_seed(1)
    task, (first, *_) = NETWORKS[kind]
    model = task.network()
    if isinstance(model, Tagger) and model.rules:
        model.rules.dropout.rate = 0.0

    example = collate([first])
    shapes = tf.nest.map_structure(any_size, (example.inputs, example.targets))

    @tf.function(input_signature=shapes, autograph=False)
    def compute(inputs: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            loss, _ = task.loss(model, inputs, targets, ())
        gradients = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
        return loss, task.predict(model, inputs), [tf.convert_to_tensor(gradient) for gradient in gradients]

    def of_arrays(batch: Batch) -> Any:
        tensors = ({name: tf.constant(array) for name, array in part.items()} for part in (batch.inputs, batch.targets))
        return compute(*tensors)

    return of_arrays


@pytest.mark.parametrize("kind", NETWORKS)
@settings(max_examples=10, deadline=None)
@given(rows=st.lists(st.integers(0, 19), min_size=1, max_size=5), padding=st.integers(1, 6))
def test_padding_changes_nothing(kind, rows, padding):
    task, examples = NETWORKS[kind]
    batch = collate([examples[row] for row in rows])
    loss, outputs, gradients = traced(kind)(batch)
    wide_loss, wide_outputs, wide_gradients = traced(kind)(widened(batch, padding))
    np.testing.assert_allclose(wide_loss, loss, rtol=1e-5)
    for name, output in outputs.items():
        for row, length in enumerate(batch.inputs["lengths"]):
            one, other = output[row], wide_outputs[name][row]
            match task.endpoint.outputs[name].axes[1:2]:
                case ("T",):
                    one, other = one[:length], other[:length]
                case ("L",):  # which the padding of T makes longer
                    other = other[: len(one)]
            np.testing.assert_allclose(one, other, atol=1e-5)
    for one, other in zip(gradients, wide_gradients, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5)

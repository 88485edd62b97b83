"""One training step."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from training.data.dataset import Batch
from training.tasks.base import State, Task
from training.tasks.endpoints import Tensors


class Step:
    """Updates the weights on one batch: loss, gradients, clipping, Adam, moving averages.

    The step is one TensorFlow graph for any [B, T], traced with the first batch. XLA is no faster on the CPU and would
    compile every shape.
    """

    def __init__(
        self, task: Task, model: keras.Model, optimizer: keras.optimizers.Optimizer, averages: Sequence[tf.Variable]
    ) -> None:
        self._task, self._model, self._optimizer, self._averages = task, model, optimizer, averages
        self._compiled: Any = None

    def __call__(self, batch: Batch, state: State) -> tuple[float, float, State]:
        """Returns the loss, the gradient norm before clipping, and the state for the next batch."""
        arrays = (batch.inputs, batch.targets)
        if self._compiled is None:
            shapes = tf.nest.map_structure(any_size, arrays)
            update = tf.function(self._update, autograph=False)
            self._compiled = update.get_concrete_function(*shapes, tf.nest.map_structure(_this_size, state))
        loss, norm, state = self._compiled(*tf.nest.map_structure(tf.convert_to_tensor, (*arrays, state)))
        return float(loss), float(norm), state

    def _update(self, inputs: Tensors, targets: Tensors, state: State) -> tuple[Any, Any, State]:
        weights = self._model.trainable_variables
        recipe = self._task.recipe
        with tf.GradientTape() as tape:
            loss, state = self._task.loss(self._model, inputs, targets, state)
        sparse = tape.gradient(loss, [weight.value for weight in weights])
        dense = [tf.convert_to_tensor(gradient) for gradient in sparse]  # one dense gradient per embedding table
        gradients, norm = tf.clip_by_global_norm(dense, recipe.clip_norm)
        self._optimizer.apply(gradients, weights)
        steps = tf.cast(self._optimizer.iterations, tf.float32)
        decay = tf.minimum(recipe.averaging, (1 + steps) / (10 + steps))  # fewer steps are averaged at first
        for average, weight in zip(self._averages, weights, strict=False):
            average.assign_add((1 - decay) * (weight.value - average))
        return loss, norm, state


def any_size(array: Any) -> Any:
    """Returns the spec of a batch's array with any size of its first two axes, B and T."""
    return tf.TensorSpec([None, None, *array.shape[2:]][: len(array.shape)], array.dtype)


def _this_size(array: Any) -> Any:
    """Returns the spec of a part of the state, whose number of rows is fixed."""
    return tf.TensorSpec(array.shape, array.dtype)

"""Functions that several networks share."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from service.text.vocabulary import PAD
from training.cells import Cell, Tensor
from training.cells.integers import product, restore_weight, round_weight
from training.cells.unroll import unroll_embedded


class Head(keras.layers.Layer):  # type: ignore[misc]
    """Logits of the outputs of a cell: x U + b, in floats, or in integers once its weights are rounded.

    Args:
        width: I, of the inputs.
        units: K.
    """

    def __init__(self, width: int, units: int, name: str | None = None) -> None:
        super().__init__(name=name, dtype="float32")
        self.units = units
        self.kernel = self.add_weight(shape=(width, units), initializer="glorot_uniform", name="kernel")
        self.kernel_scale: Any = None  # of integers, shape [1, K]
        self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        self._input_limit = 1.0
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Returns logits: [..., I] -> [..., K]."""
        return product(inputs, self.kernel, self.kernel_scale, self._input_limit) + self.bias

    def round_weights(self, input_limit: float | None) -> list[str]:
        """Turns the kernel into integers if the inputs have a limit; otherwise returns its name."""
        if input_limit is None:
            return [self.kernel.path]
        self._input_limit = input_limit
        round_weight(self, "kernel")
        return []

    def restored_kernel(self) -> Tensor:
        """Returns the kernel in floats, which would be rounded to the same integers."""
        return self.kernel if self.kernel_scale is None else ops.cast(self.kernel, "float32") * self.kernel_scale

    def restore_weights(self) -> None:
        """Turns integers into floats again."""
        if self.kernel_scale is not None:
            restore_weight(self, "kernel")


def valid_positions(ids: Tensor, lengths: Tensor) -> Tensor:
    """Returns whether each position is before the end of its row, bool, shape [B, T, 1]. ids: shape [B, T]."""
    return ops.expand_dims(ops.arange(ops.shape(ids)[1]) < ops.expand_dims(lengths, 1), 2)


def read_characters(cell: Cell, embedding: Tensor, char_ids: Tensor) -> Tensor:
    """Runs a bidirectional cell over the characters of each word and returns its last outputs.

    Args:
        embedding: of the characters, shape [V, I].
        char_ids: int32, shape [..., C]; PAD behind the last character.

    Returns:
        float32, shape [..., 2 H].
    """
    *places, width = ops.shape(char_ids)
    flat = ops.reshape(char_ids, (-1, width))
    lengths = ops.sum(ops.cast(flat != PAD, "int32"), axis=1)
    _, (last, *_) = unroll_embedded(cell, embedding, flat, lengths)
    return ops.reshape(ops.concatenate([last[0], last[1]], axis=-1), (*places, 2 * last.shape[-1]))


def divide_heads(heads: Mapping[str, Any], temperatures: Mapping[str, float]) -> None:
    """Divides the weights of heads, and with them their logits, each by its temperature."""
    for name, temperature in temperatures.items():
        for weight in (heads[name].kernel, heads[name].bias):
            weight.assign(weight / temperature)

"""Packs the inputs of a step into one array, since the cost of a call grows with its number of arrays."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import tensorflow as tf

from service.types import Array, Tensors

Axes = tuple[str | int, ...]

CELL = np.dtype(np.int32)


class Packing:
    """The layout of inputs in 32-bit cells, one row per sequence.

    Attributes:
        width: cells per row, W.
    """

    def __init__(self, inputs: Mapping[str, tuple[str, Axes]], capacity: int) -> None:
        """`inputs` have a type, and axes [B, ...], in which T is replaced by the capacity."""
        self._fields: dict[str, tuple[np.dtype[Any], tuple[int, ...], slice]] = {}
        self.width = 0
        for name, (kind, axes) in inputs.items():
            shape = tuple(axis if isinstance(axis, int) else capacity for axis in axes[1:])
            dtype = np.dtype(kind)
            cells = prod(shape) * max(dtype.itemsize // CELL.itemsize, 1)
            self._fields[name] = dtype, shape, slice(self.width, self.width + cells)
            self.width += cells

    def pack(self, inputs: Tensors) -> Array:
        """Packs the inputs, each [B, ...] with T up to the capacity  # [B, W] int32, 0 after T."""
        cells = np.zeros((len(next(iter(inputs.values()))), self.width), CELL)
        for name, (dtype, _, columns) in self._fields.items():
            values = inputs[name].reshape(len(cells), -1)
            cells[:, columns].view(CELL if dtype == np.bool_ else dtype)[:, : values.shape[1]] = values
        return cells

    def unpack(self, cells: Any) -> dict[str, Any]:
        """Unpacks cells [B, W] int32 to the inputs, T the capacity; to be traced."""
        inputs = {}
        for name, (dtype, shape, columns) in self._fields.items():
            values = cells[:, columns]
            if dtype.itemsize > CELL.itemsize:
                values = tf.reshape(values, (-1, prod(shape), dtype.itemsize // CELL.itemsize))
            values = tf.cast(values, tf.bool) if dtype == np.bool_ else tf.bitcast(values, dtype)
            inputs[name] = tf.reshape(values, (-1, *shape))
        return inputs

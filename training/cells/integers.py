"""Products of states by weights in 8-bit integers, whose sums are exact: the same in any batch, on any device.

Let each state h be within ±L, and let w be a column of weights. Both are rounded,

    q = round(127 h / L)      v = round(w / s)  with  s = max |w| / 127      h · w ≈ (L s / 127) Σ q v

and the products of the integers are summed in 32 bits: any order of the sum gives the same, so that a result depends
neither on how many rows are multiplied beside it nor on the processor. A sum has at most MOST_TERMS terms, each of 127²
at most. So it stays below 2²⁴, and a product of the same integers in float32, or in TF32 or bfloat16 summed in float32,
is the same to the bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from service.errors import ConfigurationError

LARGEST = 127
MOST_TERMS = 1040  # 127 * 127 * 1040 < 2 ** 24
SCALE_BITS = 16  # of a scale's mantissa: times 127 it has no more than float32 has, 24, so that rounding again is exact

Tensor: TypeAlias = Any

_largest_weight = ContextVar("largest weight", default=LARGEST)


@contextmanager
def weights_of_bits(bits: int) -> Iterator[None]:
    """Rounds weights to so many bits inside the context, 2 to 8, to measure what they cost. Served weights have 8."""
    token = _largest_weight.set(2 ** (bits - 1) - 1)
    try:
        yield
    finally:
        _largest_weight.reset(token)


def product(x: Tensor, kernel: Tensor, scale: Tensor | None, limit: float = 1.0) -> Tensor:
    """Returns `x @ kernel` in floats or, with a scale, in integers: [..., N, I] and [..., I, O] -> [..., N, O] float32.

    Args:
        x: within ±limit, or what `rounded` made of it.
        kernel: weights, or the integers of `round_weight`.
        scale: of each column, shape [..., 1, O].
    """
    if scale is None:
        return ops.matmul(x, kernel)
    q = x if keras.backend.standardize_dtype(x.dtype) == "int8" else rounded(x, limit)
    return ops.cast(ops.matmul(q, kernel), "float32") * (scale * (limit / LARGEST))


def rounded(x: Tensor, limit: float = 1.0) -> Tensor:
    """Returns what is within ±limit as integers of 8 bits."""
    return ops.cast(ops.round(x * (LARGEST / limit)), "int8")


def round_rows(products: Tensor, directions: int) -> tuple[Tensor, Tensor]:
    """Returns input products as integers of 8 bits, with a scale for each direction of a row, which takes less memory.

    Args:
        products: of all directions side by side, shape [..., D * G].

    Returns:
        [..., D * G] int8, and scales, [..., D] float32.
    """
    parts = ops.stack(ops.split(products, directions, axis=-1), axis=-2)  # [..., D, G]
    highest = ops.max(ops.abs(parts), axis=-1, keepdims=True)
    scales = ops.where(highest > 0, highest / LARGEST, 1.0)
    integers = ops.cast(ops.round(parts / scales), "int8")
    return ops.reshape(integers, ops.shape(products)), ops.squeeze(scales, axis=-1)


def restore_rows(integers: Tensor, scales: Tensor) -> Tensor:
    """Returns what `round_rows` rounded, in floats, shape [..., D * G]."""
    parts = ops.stack(ops.split(ops.cast(integers, "float32"), scales.shape[-1], axis=-1), axis=-2)
    return ops.reshape(parts * ops.expand_dims(scales, -1), ops.shape(integers))


def round_weight(layer: keras.layers.Layer, name: str) -> None:
    """Replaces a weight of a layer, shape [..., I, O], by integers; their scales, [..., 1, O], are `<name>_scale`.

    Integers are within ±LARGEST, or fewer inside `weights_of_bits`.

    Raises ConfigurationError if sums over I terms may not be exact.
    """
    weight = getattr(layer, name)
    if weight.shape[-2] > MOST_TERMS:
        fault = f"{weight.path} sums {weight.shape[-2]} terms, {MOST_TERMS} at most are exact in integers"
        raise ConfigurationError(f'{fault}; right: fewer units, or served_precision="float32"')
    integers, scale = integers_of(weight.numpy(), _largest_weight.get())
    delattr(layer, name)
    for key, values in ((name, integers), (f"{name}_scale", scale)):
        added = layer.add_weight(values.shape, dtype=str(values.dtype), trainable=False, name=key)
        added.assign(values)
        setattr(layer, key, added)


def restore_weight(layer: keras.layers.Layer, name: str) -> None:
    """Replaces the integers of `round_weight` by floats, which it would round to the same."""
    integers, scale = (getattr(layer, key).numpy() for key in (name, f"{name}_scale"))
    delattr(layer, name)
    delattr(layer, f"{name}_scale")
    setattr(layer, f"{name}_scale", None)
    weight = layer.add_weight(integers.shape, name=name)
    weight.assign(integers * scale)
    setattr(layer, name, weight)


def integers_of(weights: NDArray[Any], largest: int = LARGEST) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Returns weights as integers, and the scale of each column: [..., I, O] -> [..., I, O], [..., 1, O]."""
    fraction, exponent = np.frexp(np.abs(weights).max(axis=-2, keepdims=True) / largest)
    scale = np.ldexp(np.ceil(fraction * 2**SCALE_BITS) / 2**SCALE_BITS, exponent)
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    return np.round(weights / scale).astype(np.int8), scale

"""The loops of served steps against those of training."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tests.training.cells.numpy_cells import Array
from training.cells import GRU, LSTM
from training.cells.served_loops import TILE, over_positions, per_position, unroll_rows
from training.cells.unroll import unroll_projected

WORDS, UNITS = 30, 6
CASES = [(1, 1, [1]), (1, 40, [33]), (3, 20, [4, 20, 1]), (4, TILE, [TILE, TILE - 1, 2, 1]), (2, 50, [TILE + 1, 3])]
COMPILED = [(3, 20, [4, 20, 1]), (2, 50, [TILE + 1, 3])]
every_case = pytest.mark.parametrize(("batch", "time", "lengths"), CASES)


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def as_served(compute: Callable[..., Any], compiles: bool = True) -> Callable[..., Any]:
    """Returns a function that is traced with open shapes once, and compiled for each shape, as in the service."""
    compiled: list[Any] = []

    def call(*arrays: Array) -> Any:
        if not compiled:
            widths = [array.shape[-1] if array.dtype == np.float32 else None for array in arrays]
            shapes = [[*[None] * (array.ndim - 1), width] for array, width in zip(arrays, widths, strict=True)]
            specs = [tf.TensorSpec(shape, array.dtype) for shape, array in zip(shapes, arrays, strict=True)]
            traced = tf.function(compute, autograph=False).get_concrete_function(*specs)
            compiled.append(tf.function(lambda *given: traced(*given), jit_compile=compiles, autograph=False))
        return compiled[0](*map(tf.constant, arrays))

    return call


@pytest.mark.parametrize("cell", [LSTM(5, UNITS, 2), GRU(5, UNITS, 2), LSTM(5, UNITS)])
def test_rows_of_a_table_give_what_their_products_give(cell):
    table = random(WORDS, cell.directions * cell.gates * UNITS)

    def read(table: Any, rows: Any, ends: Any) -> Any:
        return unroll_rows(cell, table, rows, ends)[:2]

    def look_up(table: Any, rows: Any, ends: Any) -> Any:
        return unroll_projected(cell, ops.take(table, rows, axis=0), ends)

    unrolled, traced, compiled = as_served(look_up, compiles=False), as_served(read, compiles=False), as_served(read)
    for batch, time, lengths in CASES:
        rows = np.random.default_rng(1).integers(0, WORDS, (batch, time)).astype("int32")
        ends = np.array(lengths, np.int32)
        expected, last = unrolled(table, rows, ends)
        for served in (traced, compiled)[: 1 + ((batch, time, lengths) in COMPILED)]:
            outputs, state = served(table, rows, ends)
            np.testing.assert_allclose(outputs, expected, atol=1e-6)
            for part, wanted in zip(state, last, strict=True):
                np.testing.assert_allclose(part, wanted, atol=1e-6)


@every_case
def test_loops_over_positions_read_each_valid_one_once_and_no_padding(batch, time, lengths):
    """At lengths that tiles do not divide, too, where the last tile overlaps the one before it."""
    inputs, weights, ends = random(batch, time, 4), random(batch, time, 4, seed=1), np.array(lengths, np.int32)

    def twice(part: Any) -> dict[str, Any]:
        return {"sum": ops.sum(part, axis=-1), "twice": 2 * part}

    def joined(values: Any, weights: Any, valid: Any) -> dict[str, Any]:
        return {
            "sum": ops.sum(ops.where(valid, values * weights, 0.0), axis=0),
            "highest": ops.max(ops.where(valid, values, -9.0), axis=0),
        }

    def compute(inputs: Any, weights: Any, ends: Any) -> Any:
        joins = {"sum": (0.0, ops.add), "highest": (-9.0, ops.maximum)}
        return per_position(twice, [inputs], ends), over_positions(joined, (inputs, weights), ends, joins)

    each, found = as_served(compute)(inputs, weights, ends)
    valid = np.concatenate([inputs[row, :length] for row, length in enumerate(lengths)])
    np.testing.assert_array_equal(each["twice"][: len(valid)], 2 * valid)
    np.testing.assert_allclose(each["sum"][: len(valid)], valid.sum(-1), atol=1e-6)
    assert each["twice"].shape == (batch * time, 4)
    for row, length in enumerate(lengths):
        products = inputs[row, :length] * weights[row, :length]
        np.testing.assert_allclose(found["sum"][row], products.sum(axis=0), atol=1e-5)
        np.testing.assert_array_equal(found["highest"][row], inputs[row, :length].max(axis=0))

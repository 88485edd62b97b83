"""The loops of served steps against those of training."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tests.training.cells.numpy_cells import Array
from training.cells import GRU, LSTM
from training.cells.served_loops import TILE, per_position, pool_rows, unroll_rows
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
        return unroll_rows(cell, table, rows, ends)

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
def test_each_valid_position_is_computed_once_and_no_padding(batch, time, lengths):
    """At lengths that tiles do not divide, too, where the last tile overlaps the one before it."""
    inputs, ends = random(batch, time, 4), np.array(lengths, np.int32)

    def compute(inputs: Any, ends: Any) -> Any:
        def values(sequences: Any, positions: Any) -> dict[str, Any]:
            part = ops.take(ops.reshape(inputs, (-1, 4)), sequences * ops.shape(inputs)[1] + positions, axis=0)
            return {"sum": ops.sum(part, axis=-1), "twice": 2 * part[:, 1], "position": positions}

        return per_position(values, inputs[..., 0], ends)

    found = as_served(compute)(inputs, ends)
    valid = np.concatenate([inputs[row, :length] for row, length in enumerate(lengths)])
    np.testing.assert_array_equal(found["twice"][: len(valid)], 2 * valid[:, 1])
    np.testing.assert_allclose(found["sum"][: len(valid)], valid.sum(-1), atol=1e-6)
    np.testing.assert_array_equal(found["position"][: len(valid)], np.concatenate([np.arange(n) for n in lengths]))
    assert found["twice"].shape == (batch * time,)


@every_case
def test_outputs_are_pooled_over_valid_positions_alone(batch, time, lengths):
    cell = GRU(5, UNITS, 2)
    table, ends = random(WORDS, 2 * cell.gates * UNITS), np.array(lengths, np.int32)
    beside = random(batch, time, 3, seed=2)
    rows = np.random.default_rng(1).integers(0, WORDS, (batch, time)).astype("int32")

    def pool(table: Any, rows: Any, ends: Any, beside: Any) -> Any:
        return pool_rows(cell, table, rows, ends, lambda position: ops.take(beside, position, axis=1))

    highest, total, others = as_served(pool)(table, rows, ends, beside)
    outputs, _ = unroll_rows(cell, table, rows, ends)
    for row, length in enumerate(lengths):
        valid = np.asarray(outputs)[row, :length]
        np.testing.assert_allclose(highest[row], valid.max(axis=0), atol=1e-6)
        np.testing.assert_allclose(total[row], valid.sum(axis=0), atol=1e-5)
        np.testing.assert_allclose(others[row], beside[row, :length].sum(axis=0), atol=1e-5)

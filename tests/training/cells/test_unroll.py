"""Cells and unrolls against plain NumPy, in double precision, and with padding, which changes nothing.

All in two directions at once, which contains each.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tests.training.cells.numpy_cells import Array, reference
from training.cells import GRU, LSTM, Cell, Residual
from training.cells.unroll import unroll, unroll_embedded
from training.course.cells import AdditiveRNN, ExtendedLSTM, IdentityRNN, MinimalGRU, SimpleRNN, UnitaryRNN
from training.course.cells.plain_unroll import unroll_scan, unroll_static

CELLS: dict[str, Callable[[], Cell]] = {  # 3 wide, so that residual cells can be among them
    "simple": lambda: SimpleRNN(3, 3, 2),
    "identity": lambda: IdentityRNN(3, 3, 2),
    "additive": lambda: AdditiveRNN(3, 3, 2),
    "GRU": lambda: GRU(3, 3, 2),
    "LSTM": lambda: LSTM(3, 3, 2),
    "LSTM, clipped": lambda: ExtendedLSTM(3, 3, 2, cell_clip=0.4),
    "LSTM, projected": lambda: ExtendedLSTM(3, 5, 2, peepholes=True, projection=3),
    "minimal": lambda: MinimalGRU(3, 3, 2),
    "unitary": lambda: UnitaryRNN(3, 8, 2, capacity=3),
    "residual": lambda: Residual(GRU(3, 3, 2)),
}
LENGTHS = np.array([5, 1, 3, 0], np.int32)
FULL = np.full(4, 5, np.int32)

pytestmark = pytest.mark.usefixtures("double_precision")

every_cell = pytest.mark.parametrize("kind", CELLS)


@pytest.fixture
def inputs() -> Array:
    return np.random.default_rng(1).normal(size=(4, 5, 3))


def random_cell(kind: str) -> Cell:
    cell = CELLS[kind]()
    rng = np.random.default_rng(0)
    for weight in cell.weights:  # biases too: zeros would hide where they are added
        weight.assign(rng.normal(size=weight.shape))
    return cell


def random_state(cell: Cell, rows: int = 4) -> tuple[Array, ...]:
    rng = np.random.default_rng(3)
    return tuple(rng.normal(size=(cell.directions, rows, size)) for size in cell.state_sizes)


def assert_close(found: Any, expected: Any, atol: float = 1e-12) -> None:
    """Compares arrays, or outputs with states."""
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=atol)


@every_cell
def test_agrees_with_numpy(kind, inputs):
    cell = random_cell(kind)
    start = random_state(cell)
    assert_close(unroll(cell, inputs, LENGTHS, start), reference(cell, inputs, LENGTHS, start))


@cache
def with_gradients(kind: str) -> tuple[list[Any], Callable[..., tuple[list[Any], Any, list[Any]]]]:
    """Returns the weights of a cell, and a function that unrolls it, traced once: that takes longer than all examples.

    It takes inputs, lengths, start, and the shares of the outputs in a loss; it returns outputs and states, the loss,
    and its gradients by the weights, the inputs and the start.
    """
    cell = random_cell(kind)
    weights = [weight.value for weight in cell.weights]
    start = tuple(tf.TensorSpec([2, None, size], tf.float64) for size in cell.state_sizes)
    inputs, shares = (tf.TensorSpec([None, None, width], tf.float64) for width in (3, 2 * cell.state_sizes[0]))

    @tf.function(input_signature=[inputs, tf.TensorSpec([None], tf.int32), start, shares], autograph=False)
    def compute(inputs: Any, lengths: Any, start: Any, shares: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([inputs, *start])
            outputs, state = unroll(cell, inputs, lengths, start)
            loss = ops.sum(shares * outputs) + sum(ops.sum(part**2) for part in state)
        return [outputs, *state], loss, tape.gradient(loss, [*weights, inputs, *start])

    return weights, compute


@every_cell
def test_the_three_unrolls_agree_on_full_rows(kind, inputs):
    cell = random_cell(kind)
    start = random_state(cell)
    expected = unroll(cell, inputs, FULL, start)
    for plain in (unroll_static, unroll_scan):
        assert_close(plain(cell, ops.convert_to_tensor(inputs), start), expected)


@every_cell
@settings(max_examples=10, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    padding=st.integers(1, 5),
    rubbish=st.sampled_from([0.0, -3.0, 1e3]),
)
def test_padding_changes_no_output_no_state_and_no_gradient(kind, lengths, padding, rubbish):
    weights, compute = with_gradients(kind)
    start = random_state(CELLS[kind](), len(lengths))
    time, rng = max(1, *lengths), np.random.default_rng(sum(lengths))
    computed = []
    narrow = [rng.normal(size=(len(lengths), time, width)) for width in (3, 2 * start[0].shape[-1])]
    wide = [np.concatenate([part, np.full_like(part[:, :1], rubbish).repeat(padding, 1)], axis=1) for part in narrow]
    for x, shares in (narrow, wide):
        (outputs, *state), loss, gradients = compute(x, np.array(lengths, np.int32), start, shares)
        of_x = gradients.pop(len(weights))
        for array in (outputs, of_x):
            np.testing.assert_array_equal(array[:, time:], 0)
        computed.append([outputs[:, :time], of_x[:, :time], *state, loss, *gradients])
    without, with_padding = computed
    assert_close(without[0], with_padding[0])
    assert_close(without, with_padding, atol=1e-10)


@every_cell
def test_unroll_embedded_is_unroll_of_looked_up_rows(kind):
    cell = random_cell(kind)
    rng = np.random.default_rng(2)
    table = rng.normal(size=(7, 3))
    ids = rng.integers(0, 7, (4, 5)).astype(np.int32)
    assert_close(unroll_embedded(cell, table, ids, LENGTHS), unroll(cell, table[ids], LENGTHS))


@every_cell
def test_the_products_of_all_directions_stand_side_by_side(kind, inputs):
    cell = random_cell(kind)
    expected = np.concatenate([cell.project(inputs, direction) for direction in range(2)], axis=-1)
    assert_close([cell.project_all(inputs), cell.project_all(inputs[0])], [expected, expected[0]])

"""Cells and unrolls against plain NumPy, and their independence of padding."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.cells import GRU, LSTM, Cell
from training.unroll import unroll, unroll_embedded

Array = NDArray[np.float32]
CELLS = [LSTM, GRU]
LENGTHS = np.array([5, 1, 3, 0], np.int32)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def lstm_step(x: Array, h: Array, c: Array, cell: LSTM, d: int) -> tuple[Array, ...]:
    i, f, g, o = np.split(x @ cell.kernel.numpy()[d] + h @ cell.recurrent_kernel.numpy()[d] + cell.bias.numpy()[d], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x: Array, h: Array, cell: GRU, d: int) -> tuple[Array, ...]:
    xr, xz, xn = np.split(x @ cell.kernel.numpy()[d] + cell.bias.numpy()[d], 3)
    hr, hz, hn = np.split(h @ cell.recurrent_kernel.numpy()[d], 3)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    return (z * h + (1 - z) * np.tanh(xn + r * (hn + cell.candidate_bias.numpy()[d, 0])),)


def reference(cell: Cell, inputs: Array, lengths: NDArray[np.int32]) -> tuple[Array, list[Array]]:
    """Runs row by row, position by position, over the valid positions alone."""
    step = lstm_step if isinstance(cell, LSTM) else gru_step
    outputs = np.zeros((*inputs.shape[:2], cell.directions * cell.units), np.float32)
    states = [np.zeros((cell.directions, len(inputs), size), np.float32) for size in cell.state_sizes]
    for row, length in enumerate(lengths):
        for d in range(cell.directions):
            state = tuple(s[d, row] for s in states)
            for t in range(length)[:: -1 if d else 1]:
                state = step(inputs[row, t], *state, cell, d)
                outputs[row, t, d * cell.units : (d + 1) * cell.units] = state[0]
            for whole, part in zip(states, state, strict=True):
                whole[d, row] = part
    return outputs, states


def random_cell(kind: type[Cell], directions: int) -> Cell:
    cell = kind(3, 4, directions)
    rng = np.random.default_rng(0)
    for weight in cell.weights:  # biases too: zeros would hide where they are added
        weight.assign(rng.normal(size=weight.shape))
    return cell


@pytest.fixture
def inputs() -> Array:
    return np.random.default_rng(1).normal(size=(4, 5, 3)).astype(np.float32)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", CELLS)
def test_agrees_with_numpy(kind: type[Cell], directions: int, inputs: Array) -> None:
    cell = random_cell(kind, directions)
    outputs, state = unroll(cell, inputs, LENGTHS)
    expected, expected_state = reference(cell, inputs, LENGTHS)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    for one, other in zip(state, expected_state, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", CELLS)
def test_padding_changes_nothing(kind: type[Cell], directions: int, inputs: Array) -> None:
    cell = random_cell(kind, directions)
    outputs, state = unroll(cell, inputs, LENGTHS)
    wider = np.concatenate([inputs, np.full((4, 3, 3), 1e3, np.float32)], axis=1)
    wider_outputs, wider_state = unroll(cell, wider, LENGTHS)
    np.testing.assert_allclose(wider_outputs[:, :5], outputs, atol=1e-6)
    np.testing.assert_array_equal(wider_outputs[:, 5:], 0)
    for one, other in zip(state, wider_state, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("kind", CELLS)
def test_a_sequence_in_two_parts_is_the_sequence(kind: type[Cell], inputs: Array) -> None:
    cell = random_cell(kind, 1)
    whole, state = unroll(cell, inputs, np.full(4, 5, np.int32))
    head, between = unroll(cell, inputs[:, :2], np.full(4, 2, np.int32))
    tail, end = unroll(cell, inputs[:, 2:], np.full(4, 3, np.int32), between)
    np.testing.assert_allclose(np.concatenate([head, tail], axis=1), whole, atol=1e-6)
    np.testing.assert_allclose(end[0], state[0], atol=1e-6)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", CELLS)
def test_embedded_is_unroll_of_the_looked_up_rows(kind: type[Cell], directions: int) -> None:
    cell = random_cell(kind, directions)
    rng = np.random.default_rng(2)
    table = rng.normal(size=(7, 3)).astype(np.float32)
    ids = rng.integers(0, 7, (4, 5)).astype(np.int32)
    outputs, state = unroll_embedded(cell, table, ids, LENGTHS)
    expected, expected_state = unroll(cell, table[ids], LENGTHS)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(state[0], expected_state[0], atol=1e-5)


def test_fresh_lstm_remembers_and_its_directions_differ() -> None:
    cell = LSTM(3, 4, 2)
    np.testing.assert_array_equal(cell.bias.numpy()[:, 4:8], 1)
    kernel, recurrent_kernel = cell.kernel.numpy(), cell.recurrent_kernel.numpy()
    assert not np.allclose(kernel[0], kernel[1])
    assert not np.allclose(recurrent_kernel[0], recurrent_kernel[1])

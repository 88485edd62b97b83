"""The attention cell against plain NumPy and finite differences, in double precision; and the mask of its memory."""

import numpy as np
import pytest

from tests.training.cells.numpy_cells import Array, sigmoid
from training.cells import LSTM
from training.cells.unroll import unroll
from training.course.cells import Attention

MEMORY_LENGTHS = np.array([3, 1, 5], np.int32)
LENGTHS = np.array([4, 2, 3], np.int32)

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture
def attention() -> Attention:
    made = Attention(LSTM(3, 4), 6)
    rng = np.random.default_rng(0)
    for weight in made.weights:
        weight.assign(rng.normal(size=weight.shape))
    return made


@pytest.fixture
def inputs() -> Array:
    return np.random.default_rng(1).normal(size=(3, 4, 3))


@pytest.fixture
def memory() -> Array:
    return np.random.default_rng(2).normal(size=(3, 5, 6))


@pytest.fixture
def start() -> tuple[Array, ...]:
    """The states a, h and c  # each [1, B, H]."""
    rng = np.random.default_rng(3)
    return tuple(rng.normal(size=(1, 3, 4)) for _ in range(3))


def step_of_a_row(attention: Attention, x: Array, memory: Array, a: Array, h: Array, c: Array) -> tuple[Array, ...]:
    """Takes a step of one row from the equations alone. memory: what is valid of it  # [S, M]."""
    cell = attention.cell
    kernel, recurrent_kernel, bias = (w.numpy()[0] for w in (cell.kernel, cell.recurrent_kernel, cell.bias))
    key, feed, combine = (weight.numpy() for weight in (attention.key, attention.feed, attention.combine))
    i, f, g, o = np.split(x @ kernel + a @ feed + h @ recurrent_kernel + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    shares = np.exp([h @ (m @ key) for m in memory])
    context = sum(share * m for share, m in zip(shares / shares.sum(), memory, strict=True))
    return np.tanh(np.concatenate([context, h]) @ combine), h, c


def test_agrees_with_numpy(attention, inputs, memory, start):
    outputs, after = unroll(attention.over(memory, MEMORY_LENGTHS), inputs, LENGTHS, start)
    for row, length in enumerate(LENGTHS):
        state = tuple(part[0, row] for part in start)
        for t in range(length):
            state = step_of_a_row(attention, inputs[row, t], memory[row, : MEMORY_LENGTHS[row]], *state)
            np.testing.assert_allclose(outputs[row, t], state[0], atol=1e-12)
        for part, expected in zip(after, state, strict=True):
            np.testing.assert_allclose(part[0, row], expected, atol=1e-12)


@pytest.mark.parametrize("rubbish", [0.0, -3.0, 1e3])
def test_the_padding_of_a_memory_is_never_looked_at(attention, inputs, memory, start, rubbish):
    wide = np.concatenate([memory, np.full((3, 2, 6), rubbish)], axis=1)
    for row, length in enumerate(MEMORY_LENGTHS):
        wide[row, length:] = rubbish
    cells = [attention.over(memory, MEMORY_LENGTHS), attention.over(wide, MEMORY_LENGTHS)]
    outputs, wide_outputs = (unroll(cell, inputs, LENGTHS, start)[0] for cell in cells)
    np.testing.assert_allclose(wide_outputs, outputs, atol=1e-12)
    weights = cells[1].weights_of(start[1:]).numpy()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-12)
    for row, length in enumerate(MEMORY_LENGTHS):
        np.testing.assert_array_equal(weights[row, length:], 0)

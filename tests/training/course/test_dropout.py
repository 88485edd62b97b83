"""Dropout in a cell: what it drops, when, and what it leaves alone."""

from typing import Any

import keras
import numpy as np
import pytest

from training.cells import GRU, LSTM, Cell
from training.cells.unroll import unroll
from training.course.cells import Dropout, SimpleRNN

WIDTH = 50
TIME = 6


class Layer(keras.layers.Layer):  # type: ignore[misc]
    """A cell, unrolled, as a model would hold it."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def call(self, inputs: Any, training: bool = False) -> Any:
        return unroll(self.cell, inputs, np.full(len(inputs), inputs.shape[1], np.int32))


def copying() -> SimpleRNN:
    """Returns a cell that gives what it reads, and nothing of what it has."""
    cell = SimpleRNN(WIDTH, WIDTH, 1, lambda x: x)
    cell.kernel.assign(np.eye(WIDTH)[None])
    cell.recurrent_kernel.assign(np.zeros((1, WIDTH, WIDTH)))
    return cell


@pytest.fixture
def ones() -> Any:
    keras.utils.set_random_seed(1)
    return np.ones((4, TIME, WIDTH), np.float32)


def test_without_training_nothing_is_dropped(ones):
    for cell in (LSTM(WIDTH, WIDTH, 2), GRU(WIDTH, WIDTH, 2)):
        dropped = Dropout(cell, inputs=0.5, outputs=0.5, state=0.5)
        np.testing.assert_allclose(Layer(dropped)(ones)[0], Layer(cell)(ones)[0], atol=1e-6)


@pytest.mark.parametrize("what", ["inputs", "outputs"])
def test_masks_are_new_at_each_step_and_variational_ones_are_the_same(what, ones):
    for variational in (False, True):
        outputs, _ = Layer(Dropout(copying(), **{what: 0.2}, variational=variational))(ones, training=True)
        values = np.unique(outputs)
        np.testing.assert_allclose(values, [0, 1.25])
        assert 0.1 < np.mean(np.equal(outputs, 0)) < 0.3
        same_over_time = (np.asarray(outputs) == np.asarray(outputs)[:, :1]).all()
        assert same_over_time == variational
        assert not np.array_equal(outputs[0], outputs[1])  # each row has its own

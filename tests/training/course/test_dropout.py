"""Dropout in a cell: what it drops, when, and what it leaves alone."""

from typing import Any

import keras
import numpy as np
import pytest

from training.cells import GRU, LSTM, Cell, Residual
from training.cells.unroll import unroll, unroll_embedded
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


def adding() -> SimpleRNN:
    """Returns a cell that adds what it reads to what it has."""
    cell = copying()
    cell.recurrent_kernel.assign(np.eye(WIDTH)[None])
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


def test_a_variational_mask_of_the_state_forgets_the_same_units_at_every_step(ones):
    outputs, _ = Layer(Dropout(adding(), state=0.5, variational=True))(ones, training=True)
    forgotten = np.asarray(outputs)[:, -1] == 1  # the last input alone
    assert 0.3 < forgotten.mean() < 0.7
    np.testing.assert_array_equal(np.asarray(outputs)[:, 1] == 1, forgotten)


def test_places_where_it_cannot_work_are_told():
    with pytest.raises(ValueError, match="right around a cell with weights"):
        Dropout(Residual(GRU(3, 3)), state=0.5)
    cell, table, ids = Dropout(GRU(3, 3), inputs=0.5), np.zeros((7, 3), np.float32), np.zeros((1, 2), np.int32)
    with pytest.raises(ValueError, match=r"needs inputs \[T, B, I\], not \(7, 3\)"):
        unroll_embedded(cell, table, ids, np.ones(1, np.int32))

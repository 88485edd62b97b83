"""How far a gradient goes back in each kind of truncated back-propagation."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from training.cells import LSTM
from training.cells.truncation import read_window
from training.cells.unroll import unroll

LENGTH = 14


def positions_reached(window: int, stride: int) -> list[list[int]]:
    """Returns, for each position that was learnt from, which inputs its error reached.

    The text is read window by window, as a run does, each from the state that the one before it left.
    """
    lstm = LSTM(2, 3)
    text = tf.constant(np.random.default_rng(0).normal(size=(1, LENGTH, 2)), tf.float32)

    def read(inputs: Any, state: Any) -> Any:
        return unroll(lstm, inputs, np.full(1, inputs.shape[1], np.int32), state)

    reached = []
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(text)
        state = tuple(tf.zeros((1, 1, size)) for size in lstm.state_sizes)
        errors = []
        for start in range(0, LENGTH - window + 1, stride):
            outputs, state = read_window(read, text[:, start : start + window], state, window - stride)
            errors += [tf.reduce_sum(outputs[:, i]) for i in range(stride)]
    for error in errors:
        gradient = tape.gradient(error, text).numpy()[0]
        reached.append(np.flatnonzero(np.abs(gradient).sum(axis=-1)).tolist())
    return reached


def test_in_chunks_an_error_goes_back_to_the_beginning_of_its_chunk() -> None:
    assert positions_reached(window=4, stride=4) == [
        *([0], [0, 1], [0, 1, 2], [0, 1, 2, 3]),
        *([4], [4, 5], [4, 5, 6], [4, 5, 6, 7]),
        *([8], [8, 9], [8, 9, 10], [8, 9, 10, 11]),
    ]


def test_in_a_sliding_window_every_error_goes_back_the_full_number_of_steps() -> None:
    assert positions_reached(window=4, stride=1) == [list(range(t - 3, t + 1)) for t in range(3, LENGTH)]


def test_in_between_every_error_goes_back_at_least_the_overlap() -> None:
    reached = positions_reached(window=6, stride=2)
    assert [len(positions) for positions in reached] == [5, 6] * (len(reached) // 2)
    assert [positions[-1] for positions in reached] == list(range(4, LENGTH))


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_outputs_are_those_of_one_long_reading(stride: int) -> None:
    lstm = LSTM(2, 3)
    text = np.random.default_rng(0).normal(size=(2, 12, 2)).astype(np.float32)

    def read(inputs: Any, state: Any) -> Any:
        return unroll(lstm, inputs, np.full(2, inputs.shape[1], np.int32), state)

    state: Any = tuple(tf.zeros((1, 2, size)) for size in lstm.state_sizes)
    parts = []
    for start in range(0, 12 - 4 + 1, stride):
        outputs, state = read_window(read, text[:, start : start + 4], state, 4 - stride)
        parts.append(outputs)
    whole, _ = read(text, None)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole[:, 4 - stride :], atol=1e-6)

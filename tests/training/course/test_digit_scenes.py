"""Scenes of digits: the digits of each split, the places that a caption states, and that a number repeats a scene."""

import numpy as np
import pytest

from training.course.data import digit_scenes
from training.course.data.digit_scenes import SIZE, Digit, Scene

SPLITS = ("train", "dev", "test")


def test_no_handwritten_digit_is_in_two_splits_and_none_is_lost():
    indices = np.concatenate([digit_scenes.images(split) for split in SPLITS])
    assert sorted(indices) == list(range(1797))
    assert [len(digit_scenes.images(split)) for split in SPLITS] == [1258, 269, 270]


@pytest.mark.parametrize(
    ("squares", "caption"),
    [
        ([(8, 4, 4, 10)], "an eight"),
        ([(3, 1, 9, 9), (7, 20, 12, 9)], "a three above a seven"),
        ([(2, 12, 1, 9), (5, 4, 20, 9)], "a two left of a five"),
        ([(1, 0, 0, 9), (8, 2, 20, 9), (0, 20, 6, 9)], "a one left of an eight and above a zero"),
    ],
)
def test_captions(squares, caption):
    digits = tuple(Digit(value, 0, top, left, side) for value, top, left, side in squares)
    scene = Scene(np.zeros((SIZE, SIZE), np.float32), digits)
    assert " ".join(scene.caption) == caption

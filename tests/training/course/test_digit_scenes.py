"""Scenes of digits: the digits of each split, the places that a caption states, and that a number repeats a scene."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.course.data import digit_scenes
from training.course.data.digit_scenes import LONGEST, MARGIN, NAMES, SIZE, Digit, Scene, Scenes

SPLITS = ("train", "dev", "test")
numbers = st.tuples(st.sampled_from(SPLITS), st.integers(0, 10**6))
CAPTION = re.compile(r"an? (\w+)(?: (above|left of) an? (\w+))?(?: and (above|left of) an? (\w+))?")


def scene_of(split: str, number: int) -> Scene:
    return Scenes(split, 10**6 + 1)[number]


def test_no_handwritten_digit_is_in_two_splits_and_none_is_lost():
    indices = np.concatenate([digit_scenes.images(split) for split in SPLITS])
    assert sorted(indices) == list(range(1797))
    assert [len(digit_scenes.images(split)) for split in SPLITS] == [1258, 269, 270]


@given(numbers)
def test_a_caption_says_what_is_where(number):
    """Against the squares of the digits, in half pixels."""
    scene = scene_of(*number)
    found = CAPTION.fullmatch(" ".join(scene.caption))
    assert found
    first, *others = [group for group in found.groups() if group]
    values, relations = [first, *others[1::2]], others[::2]
    assert values == [NAMES[digit.value] for digit in scene.digits]
    anchor, *rest = scene.digits
    for relation, digit in zip(relations, rest, strict=True):
        down = (2 * digit.top + digit.side) - (2 * anchor.top + anchor.side)
        right = (2 * digit.left + digit.side) - (2 * anchor.left + anchor.side)
        assert down + right >= 2 * MARGIN, "the first is the nearest to the corner"
        further, nearer = (down, right) if relation == "above" else (right, down)
        assert further - abs(nearer) >= 2 * MARGIN, "and the word is no matter of taste"
    assert len(scene.caption) <= LONGEST


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

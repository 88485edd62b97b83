"""Scenes of handwritten digits with captions: "a three above a seven and left of a two".

The digits are the 1797 images of 8 x 8 pixels that scikit-learn ships (Alpaydin and Kaynak 1998). They are divided into
train, dev and test before any scene is composed, so that no handwritten digit occurs in scenes of two splits.

Captions follow one rule. The diagonal distance of a digit from the top left corner is the sum of the row and the column
of its centre. The digits are named in the order of that distance, and the others by where they lie from the first: it
is "above" one that lies farther down than to the right, and "left of" one that lies farther to the right than down.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import sklearn.datasets
from scipy import ndimage

from training.data.dataset import Array

SIZE = 32  # pixels of a side
MOST = 3  # digits of a scene
SIDES = (9, 13)  # pixels of the square that a digit is drawn in, the least and the most
GAP = 1  # pixels between two digits, at least
MARGIN = 3  # pixels by which two digits differ in each diagonal, at least, so that every caption is unambiguous
DEGREES = 10  # a digit is rotated by as much, at most
BRIGHTNESS = (0.6, 1.0)  # of a digit, the least and the most
NOISE = 0.05  # standard deviation at each pixel
SHARES = {"train": 0.7, "dev": 0.15, "test": 0.15}  # of the images
NAMES = "zero one two three four five six seven eight nine".split()
WORDS = ("a", "above", "an", "and", "left", "of", *NAMES)
LONGEST = 11  # words of a caption, at most


@dataclass(frozen=True, slots=True)
class Digit:
    """A digit in a scene. image: index of the handwritten digit; top, left, side: of its square, in pixels."""

    value: int
    image: int
    top: int
    left: int
    side: int

    @property
    def down(self) -> float:
        """Returns the row of the centre."""
        return self.top + self.side / 2

    @property
    def right(self) -> float:
        """Returns the column of the centre."""
        return self.left + self.side / 2


@dataclass(frozen=True, slots=True)
class Scene:
    """One to three digits. image: from 0 to 1, float32, shape [SIZE, SIZE]; digits: in the order of the caption."""

    image: Array
    digits: tuple[Digit, ...]

    @property
    def caption(self) -> tuple[str, ...]:
        """Returns the words of the caption."""
        first, *others = self.digits
        words = [_article(first), NAMES[first.value]]
        for i, other in enumerate(others):
            relation = ["above"] if other.down - first.down > other.right - first.right else ["left", "of"]
            words += ["and"] * (i > 0) + [*relation, _article(other), NAMES[other.value]]
        return tuple(words)


class Scenes:
    """The scenes of a split, composed on access: a number always gives the same scene.

    Args:
        split: "train", "dev" or "test".
        count: number of scenes; of train there may be any number.
    """

    def __init__(self, split: str, count: int) -> None:
        self._split, self._count = split, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> Scene:
        return compose(images(self._split), np.random.default_rng([list(SHARES).index(self._split), i]))

    def __iter__(self) -> Iterator[Scene]:
        return map(self.__getitem__, range(self._count))


@cache
def images(split: str) -> Array:
    """Returns the indices of the handwritten digits of a split, shape [N]."""
    order = np.random.default_rng(0).permutation(len(_digits()[1]))
    ends = np.round(np.cumsum(list(SHARES.values())) * len(order)).astype(int)
    return np.split(order, ends[:-1])[list(SHARES).index(split)]


def compose(choice: Array, rng: np.random.Generator) -> Scene:
    """Composes a scene of some of the handwritten digits whose indices are given, shape [N]."""
    pictures, values = _digits()
    count = int(rng.integers(1, MOST + 1))
    chosen = rng.choice(choice, count, replace=False)
    placed = _place(count, rng)
    digits = [Digit(int(values[i]), int(i), *squares) for i, squares in zip(chosen, placed, strict=True)]
    canvas = rng.normal(0, NOISE, (SIZE, SIZE))
    for digit in digits:
        rows, columns = slice(digit.top, digit.top + digit.side), slice(digit.left, digit.left + digit.side)
        canvas[rows, columns] += rng.uniform(*BRIGHTNESS) * _drawn(pictures[digit.image], digit.side, rng)
    named = sorted(digits, key=lambda digit: digit.down + digit.right)
    return Scene(np.clip(canvas, 0, 1).astype(np.float32), tuple(named))


def _article(digit: Digit) -> str:
    return "an" if NAMES[digit.value] == "eight" else "a"


@cache
def _digits() -> tuple[Array, Array]:
    """Returns the handwritten digits, from 0 to 1, shape [N, 8, 8], and their values, shape [N]."""
    found = sklearn.datasets.load_digits()
    return found.images / 16, found.target


def _place(count: int, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """Returns top, left and side of each of some squares, drawn until they are apart and every relation is clear."""
    while True:
        sides = rng.integers(SIDES[0], SIDES[1] + 1, count)
        corners = rng.integers(0, SIZE - sides[:, None] + 1, (count, 2))
        squares = [(top, left, side) for (top, left), side in zip(corners.tolist(), sides.tolist(), strict=True)]
        if all(_apart(*pair) for pair in combinations(squares, 2)):
            return squares


def _apart(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Returns whether two squares have a gap between them and differ by the margin in each diagonal."""
    (top, left, side), (other_top, other_left, other_side) = one, other
    down = other_top - top + (other_side - side) / 2  # from centre to centre
    right = other_left - left + (other_side - side) / 2
    beside = max(abs(down), abs(right)) >= (side + other_side) / 2 + GAP
    return beside and min(abs(down + right), abs(down - right)) >= MARGIN


def _drawn(picture: Array, side: int, rng: np.random.Generator) -> Array:
    """Returns a handwritten digit scaled to a square, and somewhat rotated, shape [side, side]."""
    angle = np.radians(rng.uniform(-DEGREES, DEGREES))
    scale = (len(picture) + 1) / side  # the corners stay inside
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.full(2, (len(picture) - 1) / 2) - matrix @ np.full(2, (side - 1) / 2)
    drawn: Array = ndimage.affine_transform(picture, matrix, middle, (side, side), order=1)
    return drawn

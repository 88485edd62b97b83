"""Affixes: which words share them, and that a network reads them wherever a word stands."""

import numpy as np
import pytest

from service.text.vocabulary import Vocabulary, encode_characters
from training.models.affixes import PREFIXES, SUFFIXES, Affixes

CHARACTERS = Vocabulary(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-é"))
WIDTH = 12


@pytest.fixture(scope="module")
def affixes() -> Affixes:
    made = Affixes(len(CHARACTERS), 4)
    made.describe(CHARACTERS)
    return made


def rows(affixes: Affixes, word: str) -> list[int]:
    """Returns the rows of the prefixes of a word, the shortest first, and then of its suffixes."""
    ids = encode_characters([word], CHARACTERS, WIDTH)
    return [int(row[0]) for row in affixes.rows(ids)]


@pytest.mark.parametrize(
    ("word", "other", "prefixes", "suffixes"),
    [
        ("walking", "WALKED", 3, 0),
        ("walking", "talking", 0, 4),
        ("walking", "wing", 1, 3),
        ("nationalization", "nationalisation", 3, 4),  # longer than the network reads
        ("a", "ab", 1, 0),
        ("ab", "b", 0, 1),
    ],
)
def test_words_with_common_affixes_have_common_rows(affixes, word, other, prefixes, suffixes):
    same = [a == b for a, b in zip(rows(affixes, word), rows(affixes, other), strict=True)]
    assert same == [i < prefixes for i in range(PREFIXES)] + [i < suffixes for i in range(SUFFIXES)]


def test_the_shape_tells_capitals_digits_and_marks_apart(affixes):
    words = ["word", "Word", "WORD", "wOrd", "w0rd", "1995", "19-95", "élan", "x"]
    ids = encode_characters(words, CHARACTERS, WIDTH)
    shapes = [tuple(shape) for shape in np.asarray(affixes(ids))[:, -8:].round(6)]
    assert shapes[0] == shapes[7]  # "word" and "élan"
    assert len(set(shapes)) == len(words) - 1

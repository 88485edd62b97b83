"""Classes of words by a lexicon: found by the characters of a word, for these words and no others."""

import random
import string

import numpy as np
import pytest

from service.text.vocabulary import Vocabulary, encode_characters
from tests.training.tiny import SOURCE
from training.data.lexicon import Lexicon
from training.models.affixes import Affixes
from training.models.word_classes import NONE, WordClasses

CHARACTERS = Vocabulary(list(string.ascii_letters + string.digits))
LONGEST = 12
AFFIXES = Affixes(len(CHARACTERS), 2)
AFFIXES.describe(CHARACTERS)


def made(kinds: dict[str, tuple[str, ...]]) -> WordClasses:
    return WordClasses.of_lexicon(Lexicon(kinds, SOURCE), CHARACTERS, LONGEST)


def classes(layer: WordClasses, words: list[str]) -> list[int]:
    ids = encode_characters(words, CHARACTERS, LONGEST)
    return list(np.asarray(layer.of_characters(AFFIXES.in_lower_case(ids))))


@pytest.mark.parametrize("count", [1, 2, 3, 64, 65, 5000])
def test_every_word_of_a_lexicon_is_found_and_no_other(count):
    rng = random.Random(count)
    words = sorted({"".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, 9))) for _ in range(2 * count)})
    rng.shuffle(words)
    kept, others = words[:count], words[count:]
    layer = made({word: (word[0],) for word in kept})
    found = classes(layer, kept)
    assert NONE not in found
    by_letter = {word[0]: number for word, number in zip(kept, found, strict=True)}
    assert found == [by_letter[word[0]] for word in kept]
    assert len(set(by_letter.values())) == len(by_letter)
    assert classes(layer, others) == [NONE] * len(others)


def test_a_word_with_characters_that_the_treebank_lacks_is_left_out():
    layer = made({"naïve": ("adj",), "dog": ("noun",)})
    assert classes(layer, ["naïve", "naéve"]) == [NONE] * 2
    assert layer.size == 2
    assert classes(made({"naïve": ("adj",)}), ["naïve", "dog", ""]) == [NONE] * 3

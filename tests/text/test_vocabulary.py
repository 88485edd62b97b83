"""Vocabularies, and what they make of tokens."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from service.text.vocabulary import PAD, UNK, Vocabulary, encode_characters, encode_tokens, shorten
from training.data.vocabularies import counted
from training.run.version_folder import write_vocabulary


def test_ids_follow_the_reserved_ones() -> None:
    vocabulary = Vocabulary(["b", "a"])
    assert [vocabulary.id(s) for s in ("b", "a", "c")] == [2, 3, UNK]
    assert (len(vocabulary), vocabulary.string(3), "a" in vocabulary, "c" in vocabulary) == (4, "a", True, False)


def test_counts_by_frequency_then_spelling() -> None:
    found = counted("The the cat a a a cat dog".split(), at_least=2, lowercase=True)
    assert found.entries == ("a", "cat", "the")
    assert found.id("THE") == found.id("the") == 4


@pytest.mark.parametrize("lowercase", [False, True])
def test_reads_what_it_wrote(tmp_path: Path, lowercase: bool) -> None:
    vocabulary = Vocabulary(["\n", " ", "é", "\u2028", '"'], lowercase=lowercase)
    write_vocabulary(tmp_path / "characters.json", vocabulary)
    read = Vocabulary.parse((tmp_path / "characters.json").read_bytes())
    assert (read.entries, read.lowercase) == (vocabulary.entries, lowercase)


def test_encodes_tokens_and_their_characters() -> None:
    words, characters = Vocabulary(["cat"]), Vocabulary(list("act"))
    np.testing.assert_array_equal(encode_tokens(["cat", "dog"], words), np.array([2, UNK], np.int32))
    ids = encode_characters(["cat", "a"], characters, width=4)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, [[3, 2, 4, PAD], [2, PAD, PAD, PAD]])
    assert encode_tokens([], words).shape == (0,)
    assert encode_characters([], characters, width=4).shape == (0, 4)


def test_shortens_to_both_ends() -> None:
    assert [shorten("abcdefgh", width) for width in (1, 2, 5, 6, 8)] == ["h", "ah", "abfgh", "abcfgh", "abcdefgh"]


def test_words_are_looked_up_in_their_normal_form() -> None:
    words = Vocabulary(["'s", "été", "’s", "o’clock"], lowercase=True)
    nfd = unicodedata.normalize("NFD", "Été")
    assert words.ids(["'s", "’s", nfd, "O'CLOCK", "o’clock"]) == [2, 2, 3, 5, 5]
    assert [words.id(word) for word in ("’S", nfd, "o'clock")] == [2, 3, 5]


def test_a_character_that_is_unknown_is_read_as_one_that_it_may_stand_for() -> None:
    assert Vocabulary(['"', "'", "-"]).ids("“«’–…") == [2, 2, 3, 4, UNK]
    assert Vocabulary(['"', "“", "’", "."]).ids("“”'…") == [3, 2, 4, 5]  # those that are known stay as they are


def test_characters_of_equivalent_words_are_the_same() -> None:
    characters = Vocabulary([*"dé'"])
    forms = ["d'é", "d’é", unicodedata.normalize("NFD", "d’é"), "d’\u00adé"]
    assert encode_characters(forms, characters, 4).tolist() == [[2, 4, 3, PAD]] * 4
    assert encode_characters(["\u00ad"], characters, 4).tolist() == [[UNK, PAD, PAD, PAD]]

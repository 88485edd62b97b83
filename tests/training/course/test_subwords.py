"""Subwords: what they are learned from, and that texts come back as they were."""

from hypothesis import given
from hypothesis import strategies as st

from service.text.vocabulary import PAD, UNK
from training.course.data.subwords import Subwords

TEXTS = ["shared library for images", "bibliothèque partagée d'images", "images, images and more images"]
SUBWORDS = Subwords(TEXTS, 60)
CHARACTERS = sorted({character for text in TEXTS for character in text})


@given(st.text(CHARACTERS, max_size=40).map(str.lstrip))
def test_a_text_of_known_characters_comes_back_as_it_was(text: str) -> None:
    ids = SUBWORDS.encode(text)
    assert UNK not in ids
    assert PAD not in ids
    assert SUBWORDS.decode(ids.tolist()) == text


def test_what_is_frequent_is_one_subword_and_punctuation_stands_alone() -> None:
    assert SUBWORDS.split("images, more images") == ["▁images", ",", "▁mor", "e", "▁images"]
    assert [SUBWORDS.string(int(id)) for id in SUBWORDS.encode("d'images")] == ["▁d", "'", "images"]


def test_the_same_texts_give_the_same_ids() -> None:
    again = Subwords(TEXTS, 60)
    assert len(again) == len(SUBWORDS) == 60
    assert all(again.string(id) == SUBWORDS.string(id) for id in range(60))


def test_a_character_that_was_never_seen_is_unknown_and_lost() -> None:
    assert SUBWORDS.encode("forΩ").tolist() == [*SUBWORDS.encode("for"), UNK]
    assert SUBWORDS.decode(SUBWORDS.encode("forΩ").tolist()) == "for"


def test_what_is_behind_the_end_is_not_read() -> None:
    ids = SUBWORDS.encode("shared").tolist()
    assert SUBWORDS.decode([*ids, PAD, *ids]) == "shared"
    assert SUBWORDS.decode([PAD]) == ""

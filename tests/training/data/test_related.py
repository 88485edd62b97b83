"""Sentences of other treebanks are learned from where the treebank itself could have their tags."""

import pytest

from training.data.related import COLUMNS, Convention
from training.data.treebank import NOTHING, UNLABELLED, Tree, Word

OWN = [Tree((Word("Ten", "NUM", NOTHING, "NumType=Card", "ten"), Word("go", "VERB", NOTHING, NOTHING, "go")))] * 3
RARE = [Tree((Word("so", "ADV", NOTHING, NOTHING, "so"),))] * 2


def compatible(*words: Word, columns: tuple[str, ...] = COLUMNS) -> tuple[Word, ...]:
    (tree,) = Convention(OWN + RARE).compatible([Tree(words)], columns)
    return tree.words


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        # What the treebank has for the form, in any case.
        (Word("ten", "NUM", NOTHING, "NumType=Card", "ten"), {}),
        # No tag at all where it never tags the form so.
        (Word("ten", "NOUN", NOTHING, NOTHING, "ten"), {"upos": UNLABELLED, "feats": UNLABELLED, "lemma": NOTHING}),
        # Of features and lemmas, those that it does not have are left out alone.
        (Word("ten", "NUM", NOTHING, NOTHING, "10"), {"feats": UNLABELLED, "lemma": NOTHING}),
        (Word("six", "NUM", NOTHING, "Number=Plur", "six"), {"feats": UNLABELLED}),
        # A new or rare form may have any tag, with features of that tag.
        (Word("so", "NUM", NOTHING, "NumType=Card", "so"), {}),
        (Word("walks", "VERB", NOTHING, NOTHING, "walk"), {}),
    ],
)
def test_a_word_has_the_tags_that_the_treebank_could_have(word, kept):
    assert compatible(word) == (word._replace(**kept),)


def test_columns_that_are_not_learned_from_it_are_left_out():
    word = Word("ten", "NUM", NOTHING, "NumType=Card", "ten")
    assert compatible(word, columns=("feats",)) == (Word("ten", UNLABELLED, NOTHING, "NumType=Card", NOTHING),)


def test_xpos_is_judged_as_features_are_and_a_column_that_is_empty_here_is_so_there():
    own = Convention([Tree((Word("ten", NOTHING, "CD", NOTHING), Word("go", NOTHING, "VB", NOTHING)))] * 3)
    words = (
        Word("ten", "NUM", "CD", "NumType=Card", "ten"),
        Word("ten", "NOUN", "VB", NOTHING),
        Word("six", "NUM", "JJ", NOTHING),
    )
    (tree,) = own.compatible([Tree(words)])
    assert tree.words == (
        Word("ten", NOTHING, "CD", NOTHING),
        Word("ten", NOTHING, UNLABELLED, NOTHING),
        Word("six", NOTHING, UNLABELLED, NOTHING),
    )

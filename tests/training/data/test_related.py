"""Sentences of other treebanks are learned from where the treebank itself could have their tags."""

from training.data.related import COLUMNS, Convention
from training.data.treebank import NOTHING, UNLABELLED, Tree, Word

OWN = [Tree((Word("Ten", "NUM", NOTHING, "NumType=Card", "ten"), Word("go", "VERB", NOTHING, NOTHING, "go")))] * 3
RARE = [Tree((Word("so", "ADV", NOTHING, NOTHING, "so"),))] * 2


def compatible(*words: Word, columns: tuple[str, ...] = COLUMNS) -> tuple[Word, ...]:
    (tree,) = Convention(OWN + RARE).compatible([Tree(words)], columns)
    return tree.words


def test_a_word_keeps_the_tags_that_the_treebank_has_for_its_form_in_any_case():
    word = Word("ten", "NUM", NOTHING, "NumType=Card", "ten")
    assert compatible(word) == (word,)


def test_a_word_has_no_tag_at_all_where_the_treebank_never_tags_its_form_so():
    assert compatible(Word("ten", "NOUN", NOTHING, NOTHING, "ten")) == (
        Word("ten", UNLABELLED, NOTHING, UNLABELLED, NOTHING),
    )


def test_features_and_lemmas_that_the_treebank_does_not_have_are_left_out_alone():
    words = Word("ten", "NUM", NOTHING, NOTHING, "10"), Word("six", "NUM", NOTHING, "Number=Plur", "six")
    assert compatible(*words) == (
        Word("ten", "NUM", NOTHING, UNLABELLED, NOTHING),
        Word("six", "NUM", NOTHING, UNLABELLED, "six"),
    )


def test_a_new_or_rare_form_may_have_any_tag_with_features_of_that_tag():
    words = Word("so", "NUM", NOTHING, "NumType=Card", "so"), Word("walks", "VERB", NOTHING, NOTHING, "walk")
    assert compatible(*words) == words


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

"""Fixed expressions and names of several words are marked in the Dutch train split."""

from collections.abc import Sequence

import pytest

from training.data.dutch import EXPRESSIONS, marked
from training.data.treebank import Tree, Word, read


def text(*rows: str) -> str:
    """Returns a sentence in CoNLL-U, of "FORM UPOS HEAD DEPREL" a word."""
    cells = (row.split() for row in rows)
    return "".join(f"{i}\t{f}\t_\t{u}\t_\t_\t{h}\t{r}\t_\t_\n" for i, (f, u, h, r) in enumerate(cells, 1)) + "\n"


def features(content: str, trees: Sequence[Tree] = ()) -> list[str]:
    """Returns the features of each word, marked by the relations of the same sentence."""
    (tree,) = marked(trees or list(read(content)), [text("Niets PRON 0 root"), content])
    return [word.feats for word in tree.words]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("In ADP 0 root; plaats NOUN 1 fixed; van ADP 1 fixed", "ExtPos=ADP"),
        ("voor ADP 0 root; het DET 1 fixed; eerst ADJ 1 fixed", "ExtPos=ADV"),
        ("De DET 0 root; Witte ADJ 1 flat:name; Zwaan NOUN 1 flat:name", "ExtPos=PROPN"),
        ("De DET 0 root; witte ADJ 1 fixed; zwaan NOUN 1 fixed", "ExtPos=PROPN"),
        ("Suske PROPN 0 root; en CCONJ 1 flat; Wiske PROPN 1 flat", "ExtPos=PROPN"),
        ("Jan PROPN 0 root; Jansen PROPN 1 flat:name", "_"),
        ("2 NUM 0 root; september PROPN 1 flat; 2003 NUM 1 flat", "_"),
        ("op ADP 0 root; zoek ADJ 1 fixed", "_"),
        ("op ADP 2 case; zoek NOUN 0 root", "_"),
    ],
)
def test_the_first_word_has_the_part_of_speech_of_the_whole(words, first):
    assert features(text(*words.split("; "))) == [first, *["_"] * words.count(";")]


def test_other_features_stay_and_an_expression_may_stand_anywhere():
    content = text("Hij PRON 2 nsubj", "komt VERB 0 root", "met ADP 2 advmod", "name NOUN 3 fixed").replace(
        "met\t_\tADP\t_\t_", "met\t_\tADP\t_\tPolarity=Neg"
    )
    assert features(content) == ["_", "_", "ExtPos=ADV|Polarity=Neg", "_"]


def test_a_word_in_the_other_text_may_have_an_underscore_and_other_sentences_stay():
    own = [Tree((Word("al", "ADV", "_", "_"), Word("danniet", "ADV", "_", "_")))]
    assert marked(own, [text("al ADV 0 root", "dan_niet ADV 1 fixed")]) == own  # no such expression
    own = [Tree((Word("met", "ADP", "_", "_"), Word("name", "NOUN", "_", "_")))]
    assert marked(own, [text("met_ ADP 0 root", "name NOUN 1 fixed")])[0].words[0].feats == "ExtPos=ADV"
    assert marked(own, [text("met ADP 2 case", "namen NOUN 0 root")]) == own


def test_each_expression_is_listed_once_in_lower_case():
    listed = [expression for some in EXPRESSIONS.values() for expression in some.split("; ")]
    assert len(set(listed)) == len(listed)
    assert all(expression == expression.lower().strip() and " " in expression for expression in listed)


def test_both_is_a_conjunction():
    trees = [Tree((Word(form, upos, "_", "_", "zowel"),)) for form, upos in (("Zowel", "ADV"), ("zowel", "PRON"))]
    assert [tree.words[0].upos for tree in marked(trees, [])] == ["CCONJ", "PRON"]

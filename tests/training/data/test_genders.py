"""The genders of German nouns, and of the words before them, are those of a lexicon, where the article allows it."""

from dataclasses import replace

import pytest

from service.errors import ConfigurationError
from tests.training.tiny import SOURCE
from training.data import genders
from training.data.genders import Lexicon, corrected
from training.data.treebank import Tree, Word

WORDS = Lexicon(
    {"NOUN": {"Stadt": {"Fem"}, "Hund": {"Masc"}, "See": {"Masc", "Fem"}, "Art": {"Fem"}}, "PROPN": {"Elbe": {"Fem"}}},
    SOURCE,
)


def tree(*words: tuple[str, str, str]) -> Tree:
    """Returns a sentence. words: form, UPOS, and case and gender in the singular, or "" without features."""
    return Tree(
        tuple(
            Word(form, upos, "_", "Case={}|Gender={}|Number=Sing".format(*feats.split()) if feats else "_", form)
            for form, upos, feats in words
        )
    )


def found(own: Tree, *native: Tree) -> list[str]:
    (new,) = corrected([own], native, WORDS)
    return [word.feats.partition("Gender=")[2].partition("|")[0] for word in new.words]


@pytest.mark.parametrize("noun", ["Stadt", "Hauptstadt"])
def test_a_noun_has_the_gender_of_the_lexicon_or_of_its_last_part(noun):
    own = tree(
        ("in", "ADP", ""), ("einer", "DET", "Dat Neut"), ("alten", "ADJ", "Dat Neut"), (noun, "NOUN", "Dat Neut")
    )
    assert found(own) == ["", "Fem", "Fem", "Fem"]


def test_a_noun_of_two_genders_keeps_its_own():
    assert found(tree(("See", "NOUN", "Nom Masc"))) == ["Masc"]
    assert found(tree(("See", "NOUN", "Nom Neut"))) == ["Neut"]  # once: no majority


def test_the_article_is_stronger_than_the_lexicon():
    assert found(tree(("dem", "DET", "Dat Masc"), ("Art", "NOUN", "Dat Masc"))) == ["Masc", "Masc"]
    assert found(tree(("der", "DET", "Dat Masc"), ("Hund", "NOUN", "Dat Masc"))) == ["Fem", "Fem"]


def test_words_of_another_case_or_behind_another_word_keep_their_gender():
    other_case = tree(("das", "DET", "Acc Neut"), ("Stadt", "NOUN", "Dat Neut"))
    assert found(other_case) == ["Neut", "Fem"]
    apart = tree(("das", "DET", "Nom Neut"), (",", "PUNCT", ""), ("Stadt", "NOUN", "Nom Neut"))
    assert found(apart) == ["Neut", "", "Fem"]


def test_what_the_lexicon_lacks_has_the_gender_of_most_occurrences():
    native = [tree(("Weser", "PROPN", "Nom Fem"))] * 2
    assert found(tree(("Weser", "PROPN", "Nom Masc")), *native) == ["Fem"]
    assert found(tree(("Elbe", "PROPN", "Nom Masc"))) == ["Fem"]
    assert found(tree(("Oder", "PROPN", "Nom Masc"))) == ["Masc"]


def test_the_lexicon_is_read_from_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr(genders, "PACKAGE", replace(genders.PACKAGE, module="german_nouns_of_a_test"))
    with pytest.raises(ConfigurationError, match=r"pip install --no-deps german-nouns==1\.2\.5"):
        genders.lexicon()
    folder = tmp_path / "german_nouns_of_a_test"
    folder.mkdir()  # without __init__.py, as in the package
    rows = ("Hund,Substantiv,m,", "Moment,Substantiv,,m", "Moment,Substantiv,n,", 'Elbe,"Substantiv,Toponym",f,')
    (folder / "nouns.csv").write_text("\n".join(["lemma,pos,genus,genus 1", *rows]) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    read = genders.lexicon()
    assert read.found == {"NOUN": {"Hund": {"Masc"}, "Moment": {"Masc", "Neut"}}, "PROPN": {"Elbe": {"Fem"}}}
    assert read.source.address == "pkg:pypi/german-nouns@1.2.5"

"""The genders of German nouns, and of the words before them, are those of a lexicon, where the article allows it."""

from dataclasses import replace

import pytest

from service.errors import ConfigurationError
from tests.training.tiny import SOURCE
from training.data import genders
from training.data.genders import GenderLexicon, corrected
from training.data.treebank import Tree, Word

WORDS = GenderLexicon(
    {"NOUN": {"Stadt": {"Fem"}, "Hund": {"Masc"}, "See": {"Masc", "Fem"}, "Art": {"Fem"}}, "PROPN": {"Elbe": {"Fem"}}},
    SOURCE,
)


def tree(words: str) -> Tree:
    """Returns a sentence. words: form, UPOS, and, of those that have features, case and gender, in the singular."""
    found = []
    for form, upos, *own in map(str.split, words.split("; ")):
        found.append(Word(form, upos, "_", "Case={}|Gender={}|Number=Sing".format(*own) if own else "_", form))
    return Tree(tuple(found))


def found(words: str, *native: Tree) -> list[str]:
    (new,) = corrected([tree(words)], native, WORDS)
    return [word.feats.partition("Gender=")[2].partition("|")[0] for word in new.words]


@pytest.mark.parametrize(
    ("words", "right"),
    [
        # A noun has the gender of the lexicon, or of its last part.
        ("in ADP; einer DET Dat Neut; alten ADJ Dat Neut; Stadt NOUN Dat Neut", ["", "Fem", "Fem", "Fem"]),
        ("in ADP; einer DET Dat Neut; alten ADJ Dat Neut; Hauptstadt NOUN Dat Neut", ["", "Fem", "Fem", "Fem"]),
        # One of two genders keeps its own.
        ("See NOUN Nom Masc", ["Masc"]),
        ("See NOUN Nom Neut", ["Neut"]),  # once: no majority
        # The article is stronger than the lexicon.
        ("dem DET Dat Masc; Art NOUN Dat Masc", ["Masc", "Masc"]),
        ("der DET Dat Masc; Hund NOUN Dat Masc", ["Fem", "Fem"]),
        # Words of another case, or before another word, keep their gender.
        ("das DET Acc Neut; Stadt NOUN Dat Neut", ["Neut", "Fem"]),
        ("das DET Nom Neut; , PUNCT; Stadt NOUN Nom Neut", ["Neut", "", "Fem"]),
        # A name has that of the lexicon where most occurrences do not tell it.
        ("Elbe PROPN Nom Masc", ["Fem"]),
        ("Oder PROPN Nom Masc", ["Masc"]),
    ],
)
def test_genders_are_those_of_the_lexicon_and_the_article(words, right):
    assert found(words) == right


def test_what_the_lexicon_lacks_has_the_gender_of_most_occurrences():
    assert found("Weser PROPN Nom Masc", *[tree("Weser PROPN Nom Fem")] * 2) == ["Fem"]


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

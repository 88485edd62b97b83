"""Features of the German train split are corrected by the form of a word and by its noun."""

import pytest

from tests.training.tiny import SOURCE
from training.data.genders import GenderLexicon
from training.data.german import corrected
from training.data.german_forms import tense
from training.data.treebank import NOTHING, UNLABELLED, Tree, Word

WORDS = GenderLexicon({"NOUN": {}, "PROPN": {}}, SOURCE)
OF_SEIN = "Gender[psor]=Masc,Neut", "Number[psor]=Sing", "Person=3", "Poss=Yes", "PronType=Prs"
FEM, MASC, PLURAL = "Gender=Fem|Number=Sing", "Gender=Masc|Number=Sing", "Gender=Masc|Number=Plur"


def features(*given: str) -> str:
    """Returns features in the order of a treebank."""
    return "|".join(sorted((one for some in given for one in some.split("|")), key=str.lower))


NATIVE = [
    Tree((Word("der", "DET", "_", features("Case=Nom|Definite=Def|PronType=Art", MASC)),)),
    Tree((Word("seinen", "DET", "_", features("Case=Acc", MASC, *OF_SEIN)),)),
    Tree((Word("seine", "DET", "_", features("Case=Acc|Typo=Yes", FEM, *OF_SEIN)),)),
]


def first(*words: Word) -> str:
    """Returns the features that the first word of a sentence gets."""
    (tree,) = corrected([Tree(words)], NATIVE, WORDS)
    return tree.words[0].feats


def noun(form: str, *feats: str) -> Word:
    return Word(form, "NOUN", "_", features(*feats), form)


@pytest.mark.parametrize(
    ("form", "own", "behind", "right"),
    [
        ("Seiner", "Case=Dat|Definite=Def|PronType=Art", ("Case=Dat", FEM), features("Case=Dat", FEM, *OF_SEIN)),
        ("seine", "Definite=Def|PronType=Art", ("Case=Acc", PLURAL), features("Case=Acc", PLURAL, *OF_SEIN)),
        ("der", features("Case=Gen", PLURAL), ("Case=Gen", PLURAL), "Case=Gen|Definite=Def|Number=Plur|PronType=Art"),
        ("den", features("Case=Acc", MASC), ("Case=Acc", MASC), features("Case=Acc|Definite=Def|PronType=Art", MASC)),
        ("dem", features("Case=Acc", FEM), ("Case=Dat", MASC), features("Case=Dat|Definite=Def|PronType=Art", MASC)),
        ("keiner", "PronType=Ind", ("Case=Dat", FEM), "PronType=Ind"),  # of which native sentences have no form
    ],
)
def test_a_determiner_has_what_its_form_allows_and_its_noun_has(form, own, behind, right):
    adjective = Word("ganz", "ADV", "_", NOTHING)
    assert first(Word(form, "DET", "_", own), adjective, noun("Tage", *behind)) == right


def test_a_determiner_that_has_no_noun_keeps_what_its_form_allows():
    own = "Case=Acc|Definite=Def|Number=Plur|PronType=Art"
    assert first(Word("die", "DET", "_", own), Word("geht", "VERB", "_", NOTHING), noun("Tag", "Case=Nom", MASC)) == own


@pytest.mark.parametrize(
    ("forms", "right"),
    [
        ("wichtigste wichtig; größten groß; beste gut", "Degree=Sup"),
        ("längere lang", "Degree=Cmp"),
        ("feste fest; teure teuer; erstaunte erstaunt", "Degree=Pos"),
        ("ersten erst; 12. 12.", "Degree=Pos|NumType=Ord"),
    ],
)
def test_an_adjective_has_the_degree_of_its_form(forms, right):
    for form, lemma in map(str.split, forms.split("; ")):
        assert first(Word(form, "ADJ", "_", "Degree=Pos", lemma)) == right


def test_an_inflected_adjective_agrees_with_the_noun_behind_it():
    own, day = features("Case=Acc|Degree=Pos", FEM), noun("Tag", "Case=Nom", MASC)
    right = features("Case=Nom|Degree=Pos", MASC)
    assert first(Word("alter", "ADJ", "_", own, "alt"), Word("guter", "ADJ", "_", own, "gut"), day) == right
    assert first(Word("alt", "ADJ", "_", own, "alt"), day) == own
    assert first(Word("alter", "ADJ", "_", own, "alt"), Word(",", "PUNCT", "_", NOTHING), day) == own


@pytest.mark.parametrize(
    "verb",  # an infinitive, forms of its present, and of its past
    (
        "machen mache/machst/macht/machen machte/machten; handeln handle/handelt/handeln handelte; "
        "fahren fährst/fährt fuhr/fuhren; geben gibt/geben gab/gaben; sehen sieht sah; laufen läuft lief; "
        "stoßen stößt stieß; erhalten erhält/erhalten erhielt; gelten gilt/gelten galt; "
        "lassen läßt/lässt/lassen ließ/ließen; übernehmen übernimmt übernahm; ausgehen geht ging; "
        "fallen|fällen fällt fiel; antworten antwortet antwortete"
    ).split("; "),
)
def test_a_verb_has_the_tense_of_its_form(verb):
    lemma, *tenses = verb.split()
    for forms, wanted in zip(tenses, ("Pres", "Past"), strict=True):
        assert {form: tense(form, lemma) for form in forms.split("/")} == dict.fromkeys(forms.split("/"), wanted)


def test_tenses_are_corrected_in_the_indicative():
    for mood, right in (("Ind", "Past"), ("Sub", "Pres")):
        assert first(Word("blieb", "VERB", "_", f"Mood={mood}|Tense=Pres", "bleiben")) == f"Mood={mood}|Tense={right}"
    assert first(Word("weiß", "VERB", "_", "Mood=Ind|Tense=Pres", "wissen")) == "Mood=Ind|Tense=Pres"
    assert first(Word("gehen", "VERB", "_", "VerbForm=Inf", "gehen")) == "VerbForm=Inf"


def test_features_of_names_are_not_learned():
    assert first(Word("Berlin", "PROPN", "_", "Case=Dat", "Berlin")) == UNLABELLED


@pytest.mark.parametrize(
    "tags",  # a form, its UPOS, and the right one
    (
        "wie ADP CCONJ; wie SCONJ SCONJ; für PROPN ADP; und PROPN CCONJ; Als CCONJ SCONJ; als CCONJ CCONJ; "
        "z.B. VERB ADV; etc. VERB X; .. VERB PUNCT; ist VERB VERB"
    ).split("; "),
)
def test_abbreviations_conjunctions_and_prepositions_are_what_they_are_in_dev(tags):
    form, upos, right = tags.split()
    (tree,) = corrected([Tree((Word(form, upos, "_", "VerbForm=Fin"),))], NATIVE, WORDS)
    assert tree.words[0][1:4] == (right, "_", "VerbForm=Fin" if right == upos else NOTHING)

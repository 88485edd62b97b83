"""Participles of the Swedish train split have the lemma, and compounds the features, that dev and test give them."""

import pytest

from training.data.swedish import corrected
from training.data.treebank import Tree, Word

LEMMAS = {word: word for word in ("bilda", "betala", "arbeta")} | {
    **{"ändrad": "ändra", "centrerad": "centrera", "betalade": "betala"},
    **{"väljande": "välja", "vald": "välja", "skrämmande": "skrämma"},
}
FORMS = (  # a participle, its verb, and its lemma
    "ändrade ändra ändrad; ändrat ändra ändrad; Knutna knyta knuten; vunna vinna vunnen; taget ta tagen; "
    "sålda sälja såld; försedda förse försedd; sett se sedd; satt sätta satt; sagt säga sagd; köpt köpa köpt; "
    "anlagda lägga_an anlagd; smält smälta smält"
).split("; ")
PAST, PRESENT = "Degree=Pos|Tense=Past|VerbForm=Part", "Degree=Pos|Tense=Pres|VerbForm=Part"


def one(form: str, lemma: str, feats: str = PAST, upos: str = "ADJ") -> Word:
    (tree,) = corrected([Tree((Word(form, upos, "PC", feats, lemma),))], LEMMAS)
    return tree.words[0]


@pytest.mark.parametrize("forms", FORMS)
def test_the_lemma_is_the_basic_form_of_the_participle_and_not_the_verb(forms):
    form, verb, lemma = forms.split()
    assert one(form, verb).lemma == lemma


def test_a_lemma_that_is_a_participle_stays_and_so_do_other_words():
    assert one("betalt", "betalad").lemma == "betalad"
    assert one("frågande", "fråga", PRESENT).lemma == "frågande"
    assert one("Försäkrades", "försäkra", f"Case=Gen|{PAST}").lemma == "försäkrad"
    finite = Word("ändrade", "VERB", "VB", "Mood=Ind|Tense=Past|VerbForm=Fin", "ändra")
    assert corrected([Tree((finite,))], LEMMAS) == [Tree((finite,))]


@pytest.mark.parametrize("form", ["barncentrerade", "samhällsbildande", "oskrämmande", "obetalad", "nyändrad"])
def test_a_compound_or_a_negation_that_is_no_form_of_a_verb_is_an_adjective_alone(form):
    word = one(form, "_d", PRESENT if form.endswith("nde") else PAST)
    assert word.feats == "Degree=Pos"


@pytest.mark.parametrize("form", ["ändrade", "skrämmande", "utvald", "deformerad", "omvald", "gift", "nuarbetande"])
def test_a_participle_of_a_verb_or_behind_a_prefix_keeps_its_features(form):
    assert one(form, "_d").feats == PAST


def test_only_adjectives_lose_features():
    assert one("barncentrerade", "_d", f"{PAST}|Voice=Pass", "VERB").feats == f"{PAST}|Voice=Pass"


@pytest.mark.parametrize(
    ("before", "after", "dash"),
    [
        ("8 NUM 8", "21 NUM 21", "SYM"),
        ("Malmö PROPN Malmö", "Ystad PROPN Ystad", "SYM"),
        ("måndagar NOUN måndag", "fredagar NOUN fredag", "SYM"),
        ("bild NOUN bild", "ikon NOUN ikon", "PUNCT"),
        ("åldern NOUN ålder", "7 NUM 7", "PUNCT"),
        ("- PUNCT -", "- PUNCT -", "PUNCT"),
    ],
)
def test_a_dash_from_one_number_name_or_time_to_another_is_a_symbol(before, after, dash):
    words = (text.split() for text in (before, "- PUNCT -", after))
    own = Tree(tuple(Word(form, upos, "_", "_", lemma) for form, upos, lemma in words))
    (tree,) = corrected([own], LEMMAS)
    assert [word.upos for word in tree.words] == [own.words[0].upos, dash, own.words[2].upos]


@pytest.mark.parametrize("gender", ["Com", "Neut"])
def test_an_adjective_that_is_the_same_in_both_genders_has_none(gender):
    feats = f"Case=Nom|Definite=Ind|Degree=Pos|Gender={gender}|Number=Sing"
    assert one("Intressant", "intressant", feats).feats == "Case=Nom|Definite=Ind|Degree=Pos|Number=Sing"
    assert one("svårt", "svår", feats).feats == feats
    assert one("salt", "salt", feats, "NOUN").feats == feats

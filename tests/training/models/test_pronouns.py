"""Verbs and pronouns that are written together: learned of a few, and found where a treebank has none like them."""

import pytest

from service.text.languages import named_tokenizer
from service.text.segmenter import Segmenter
from tests.training.tiny import split_words
from training.data.known_forms import KnownForms
from training.data.treebank import SurfaceToken, Tree, Word
from training.models.pronouns import endings
from training.models.segmenter import TOKENS, learn

NOUNS = "porta-voz segunda-feira guarda-chuva dia-a-dia sous-sol beau-frère nord-coréen micro-onda Carlos noble parte"
FEW = (  # of each language: a token and its words
    "disse-lhe disse lhe; chamou-se chamou se; vendo-o vendo o; dejándose dejando se; negándose negando se; "
    "yéndole yendo le; viéndole viendo le; alzándolo alzando lo; cayéndole cayendo le; verte ver te; darte dar te; "
    "serte ser te; verla ver la"
).split("; ")
APART = "viens", "parle", "chante", "mange", "pense"


def word(form: str, upos: str) -> Word:
    return Word(form, upos, "_", "_")


def joined(first: str, second: str) -> Tree:
    """Returns a sentence of two tokens that are written together."""
    tokens = SurfaceToken(first, space_after=False), SurfaceToken(second)
    return Tree((word(first, "VERB"), word(second, "PRON")), tokens=tokens)


def treebank() -> list[Tree]:
    """Returns sentences of Portuguese, Spanish and French kinds, and of words that stay whole."""
    trees = [Tree((one,), tokens=(SurfaceToken(one.form),)) for one in (word(form, "NOUN") for form in NOUNS.split())]
    for form, verb, pronoun in map(str.split, FEW):
        words = word(verb, "VERB"), word(pronoun, "PRON")
        trees += [Tree(words, tokens=(SurfaceToken(form, 2),))] * 2
    for i, verb in enumerate(APART):
        trees.append(joined(verb, "-moi" if i % 2 else "-vous"))
    return trees


@pytest.fixture(scope="module")
def learned() -> Segmenter:
    return learn(treebank(), [], named_tokenizer("spacy-es"), (TOKENS,))


@pytest.mark.parametrize(
    "forms",  # a token and its words
    (
        "Trouxe-lhe Trouxe lhe; AMAVA-SE AMAVA SE; vendo-se vendo se; dia-a-dia dia-a-dia; "
        "norte-americano norte-americano; -lhe -lhe; quemándole quemando le; oyéndote oyendo te; "
        "Fernándola Fernándola; Carlos Carlos; manger-moi manger -moi; donne-moi-vous donne -moi -vous"
    ).split("; "),
)
def test_pronouns_are_split_from_verbs_that_the_treebank_has_not(learned, forms):
    token, *words = forms.split()
    assert split_words("es", learned, f"{token} aquí") == [*words, "aquí"]


def test_enclitics_of_the_language_are_learned_that_the_treebank_has_not():
    names = [Tree((word(form, "PROPN"),)) for form in "Rome Paris Lyon Bourg Roi Nice Tours Brest Dole".split()]
    known = KnownForms(enclitics=(("-lui",), ("-le",), ("-le", "-lui")))
    segmenter = learn([*treebank(), *names], [], named_tokenizer("spacy-fr"), (TOKENS,), known)
    found = split_words("fr", segmenter, "mange-le-lui à Vire-le-Duc")
    assert found == ["mange", "-le", "-lui", "à", "Vire-le-Duc"]


def test_a_word_that_begins_like_two_and_ends_like_a_pronoun_is_whole_where_it_is_known_to_be():
    pairs = (("c'", "est"), ("c'", "était"), ("l'", "été"), ("est", "-il"))
    trees = [joined(*pair) for pair in pairs for _ in range(9)]

    def tokens(*whole: str) -> list[str]:
        known = KnownForms(enclitics=(("-lui",), ("-y",)), whole=whole)
        return split_words("fr", learn(trees, [], named_tokenizer("spacy-fr"), (TOKENS,), known), "c'est-à-dire c'est")

    assert tokens()[:2] == ["c'", "est"]
    assert tokens("c'est-à-dire") == ["c'est-à-dire", "c'", "est"]


def test_an_ending_that_nouns_have_as_well_is_not_kept():
    trees = treebank()
    assert endings(trees)["-o"] == ("", "o")
    nouns = [Tree((word(form, "NOUN"),), tokens=(SurfaceToken(form),)) for form in ("vitamina-o", "grupo-o")]
    assert "-o" not in endings([*trees, *nouns])
    assert endings([]) == {}


@pytest.mark.parametrize(
    "ending", [b'{"": ["", "lhe"]}', b'{"-lhe": ["lhe"]}', b'{"-lhe": ["", ""]}', b'{"-abcdefghij": ["", "a"]}']
)
def test_an_ending_of_a_tokenizer_has_a_length_and_words(ending):
    with pytest.raises(ValueError, match="the ending"):
        Segmenter.parse(b'{"endings": ' + ending + b"}")

"""Spanish verbs with pronouns: where the accent stands, and that words of the treebank stay whole."""

import pytest

from service.text.languages import named_tokenizer
from tests.training.tiny import split_words
from training.data.known_forms import known_forms
from training.data.spanish import imperatives
from training.data.treebank import SurfaceToken, Tree, Word
from training.models.segmenter import TOKENS, learn


@pytest.mark.parametrize(
    "forms",
    (
        "dime di me; dímelo di me lo; llámame llama me; dígaselo diga se lo; siéntate sienta te; sígueme sigue me; "
        "búsqueme busque me; quítala quita la; óyeme oye me; léenoslas lee nos las; envíamelo envía me lo; "
        "háganlo hagan lo; ayúdenme ayuden me; díganselo digan se lo; váyase vaya se; vámonos vamos nos"
    ).split("; "),
)
def test_the_accent_is_where_the_stress_is(forms: str) -> None:
    form, *words = forms.split()
    assert imperatives()[form] == tuple(words)


def test_they_are_split_unless_the_treebank_has_them_as_other_words() -> None:
    first = Tree((Word("Ponle", "PROPN", "_", "_"), Word("fue", "AUX", "_", "_")))
    du = Tree((Word("de", "ADP", "_", "_"), Word("el", "DET", "_", "_")), tokens=(SurfaceToken("del", 2),))
    segmenter = learn([first, du], [], named_tokenizer("spacy-es"), (TOKENS,), known_forms("es", {}))
    words = split_words("es", segmenter, "Llámame y ponle sal del mar para dárselo")
    assert words == "Llama me y ponle sal de el mar para dar se lo".split()

"""What is known of a language: words that a tokenizer makes where its treebank has none like them."""

import msgspec
import pytest

from service.text.languages import named_tokenizer
from service.text.segmenter import Segmenter
from tests.training.tiny import split_words
from training.data.known_forms import BY_LANGUAGE, KnownForms, known_forms
from training.data.treebank import SurfaceToken, Tree, Word
from training.models.segmenter import TOKENS, learn


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("de", "Wie geht's? Auf's Neue hat's geklappt", "Wie geht 's ? Auf das Neue hat 's geklappt"),
        ("es", "vámonos a decírselo háganlo ya", "vamos nos a decir se lo hagan lo ya"),
    ],
)
def test_multiword_tokens_that_the_treebank_has_not_are_split(language, text, words):
    rules = named_tokenizer(f"spacy-{language}")
    trees = [Tree((Word(one, "X", "_", "_"),), tokens=(SurfaceToken(one),)) for one in ("ja", "zu", "no")]
    segmenter = learn(trees, [], rules, (TOKENS,), known_forms(language, rules.rules.exceptions))
    assert split_words(language, segmenter, text) == words.split()


def test_a_language_of_which_nothing_is_known_has_abbreviations_alone():
    assert known_forms("xx", {"Dr.": ("Dr.",)}) == KnownForms(abbreviations={"dr.": False})


@pytest.mark.parametrize("known", BY_LANGUAGE.values(), ids=BY_LANGUAGE)
def test_forms_are_in_lower_case_and_have_two_words_or_more(known):
    for form, words in (known.multiwords | known.endings).items():
        assert form == form.lower()
        assert len(words) > 1
    assert Segmenter.parse(
        msgspec.json.encode(Segmenter(multiwords=dict(known.multiwords), endings=dict(known.endings)))
    )

"""The tokenizer of each language: spaCy's rules for it, found by the name in a manifest."""

import re

import pytest
import spacy
from spacy.lang import char_classes

from service.text.languages import named_tokenizer, tokenizer_name

TEXTS = {
    "fr": "L'homme n'a pas vu aujourd'hui l'arc-en-ciel (10,5 %), dit-il à M. Dupont.",
    "de": "Z.B. kostet das Fahrrad 1.200,50 € im Süd-Westen, sagte „Prof. Müller“.",
    "he": "שלום, עולם! הכלב רואה את החתול (היום).",
    "ar": "مرحبا، يا عالم! كم الساعة؟",
    "ru": "Москва — столица, т.е. главный город; не так ли?",
    "xx": "Hello, world! 3.5 (yes)",
}


@pytest.mark.parametrize("language", TEXTS)
def test_tokens_are_those_of_spacy(language: str) -> None:
    tokens = named_tokenizer(f"spacy-{language}").tokens(TEXTS[language])
    assert [token.text for token in tokens] == [token.text for token in spacy.blank(language)(TEXTS[language])]


def test_english_is_cut_as_its_treebank_does() -> None:
    assert [token.text for token in named_tokenizer("spacy-en").tokens("wanna go?!")] == ["wan", "na", "go", "?!"]


def test_a_language_without_rules_gets_those_of_none() -> None:
    tokens = named_tokenizer(tokenizer_name("qqq-Latn")).tokens("Foo, bar!")
    assert [token.text for token in tokens] == ["Foo", ",", "bar", "!"]


@pytest.mark.parametrize("name", ["fr", "spacy-", "spacy-../x", "moses-fr"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a tokenizer"):
        named_tokenizer(name)


def test_french_words_with_hyphens_and_apostrophes_are_tokens():
    """By patterns that are compiled without the letters of other scripts, which spaCy keeps for other languages."""
    words = ["saut-de-ski", "faux-vampire", "entr'ouvrir", "Saint-Étienne-du-Rouvray", "pet-en-l'air", "zig-zaguer"]
    assert [token.text for token in named_tokenizer("spacy-fr").tokens(" ".join(words))] == words
    assert all(re.fullmatch(f"[{letters}]", "一") for letters in (char_classes.ALPHA, char_classes.ALPHA_LOWER))

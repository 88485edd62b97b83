"""The normal form: what it makes one, and where its characters are in the text."""

import unicodedata
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.text.interruptible import finish
from service.text.languages import named_tokenizer
from service.text.normalization import (
    normalize,
    normalize_each,
    normalize_form,
    normalize_with_offsets,
    with_plain_quotes,
)
from service.text.segmenter import Classifier, Segmenter
from service.text.tokenizer import Tokenizer
from tests.pipelines.test_tagging import tokenizer as shipped_tokenizer

Form = Literal["NFC", "NFD"]

FRENCH = named_tokenizer("spacy-fr")
SEGMENTER = Segmenter(
    boundaries=Classifier(-1.0, {"rule=|": 2.0}),
    ends=Classifier(-1.0, {"before=été": 2.0}),
    multiwords={"du": ("de", "le"), "d'à": ("de", "à")},
)
LEARNED = Tokenizer(FRENCH.rules, SEGMENTER)

# Marks that compose and that do not, in any order; syllables and letters of Korean; what vanishes; what has variants.
TEXTS = st.text(
    st.sampled_from("ae1 .'’-\u2011\u00a0\n\u0301\u0323\u0338é\u212b각\u1100\u1161\u11a8\u0958\u00ad\ufeff")
)


@given(st.one_of(TEXTS, st.text()))
@example("a \u0301\u00ad")
def test_normal_form_and_its_offsets(text: str) -> None:
    plain, places = finish(normalize_with_offsets(text))
    assert plain == normalize(text) == normalize(plain)
    assert unicodedata.is_normalized("NFC", plain)
    if plain is text:
        return
    assert len(places) == len(plain) + 1
    assert places[-1] == len(text)
    assert all(a <= b for a, b in pairwise(places))
    assert all(character.isspace() == text[place].isspace() for character, place in zip(plain, places, strict=False))


@given(st.one_of(TEXTS, st.text()))
def test_equivalent_texts_have_one_normal_form(text: str) -> None:
    assert normalize(unicodedata.normalize("NFC", text)) == normalize(text)
    assert normalize(unicodedata.normalize("NFD", text)) == normalize(text)
    assert normalize(text.replace("'", "’")) == normalize(text)


@given(st.lists(TEXTS.filter(bool)))
def test_each_string_alone(strings: list[str]) -> None:
    assert list(normalize_each(strings)) == [*map(normalize_form, strings)]


def test_marks_in_a_row_are_not_sorted_in_the_square_of_their_number() -> None:
    """100,000 marks that are to be sorted: all at once take seconds."""
    text = "a" + "\u0301\u0323" * 50_000
    plain, places = finish(normalize_with_offsets(text))
    assert len(normalize(text)) == len(plain) == len(places) - 1
    assert "\u0323" * 20 in plain
    assert "\u0323" * 300 not in plain


@pytest.mark.parametrize("repeated", ["l’e\u0301te\u0301 ", "\u1100\u1161", "e\u0301", "漢字。"])
def test_long_texts_in_parts(repeated: str) -> None:
    text = repeated * 5000
    plain, places = finish(normalize_with_offsets(text))
    assert plain == normalize(text)
    assert plain is text or [*places[:: len(normalize(repeated))]] == [*range(0, len(text) + 1, len(repeated))]


# What replaces characters of a keyboard.
PRINTED = [{"'": mark, "-": "\u2011"} for mark in "'’‘ʼ´"] + [{'"': mark} for mark in "“”„″"] + [{"...": "…"}]


@pytest.mark.parametrize("tokenizer", [FRENCH, LEARNED, *map(shipped_tokenizer, ("da", "de", "en", "fr", "nl"))])
@pytest.mark.parametrize(
    "text",
    [
        "L'été, c'est l'eau d'à côté qu'il a. Peut-être du thé?",
        "J'étais là où ça s'arrêtait. «Noël», dit-il, n'est qu'aujourd'hui",
        "가나다 각설탕. 'tis",
        'Il parle d\'"exigence absolue". "Nous avions bon espoir." Elle rit.',
        'He said "True love is around the corner"...and "left."  "Why?" Nobody knows.',
        'Hun skriver til "Nat". "Det er godt." Han går. Hij zei: "Ik kom." Zij lachte.',
        "Well... I do not know.... Wait ...what? And so on... etc. a...b (...) ..... End...",
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_variants_of_a_text_have_the_same_tokens(tokenizer: Tokenizer, text: str, form: Form) -> None:
    expected = tokenizer.sentences(text)
    for printed in PRINTED:
        variant = unicodedata.normalize(form, text)
        for typed, mark in printed.items():
            variant = variant.replace(typed, mark)
        for mine, theirs in zip(tokenizer.sentences(variant), expected, strict=True):
            for token, same in zip(mine.tokens, theirs.tokens, strict=True):
                part = variant[token.start : token.end]
                assert (plain(token.text), token.continues) == (same.text, same.continues)
                assert plain(part) == text[same.start : same.end]
                assert token.text == (part if same.text == text[same.start : same.end] else same.text)
        assert [*map(plain, finish(tokenizer.words(variant)))] == finish(tokenizer.words(text))


def plain(text: str) -> str:
    return with_plain_quotes(normalize(text))


def test_what_only_says_where_a_line_may_break_is_no_part_of_a_word() -> None:
    assert [(t.text, t.start, t.end) for t in FRENCH.tokens("\ufeffun éta\u00adient \u00ad")] == [
        ("un", 1, 3),
        ("éta\u00adient", 4, 12),
    ]
    assert finish(FRENCH.words("un éta\u00adient")) == ["un", "étaient"]


def test_marks_that_are_split_from_their_letter_stay_with_it() -> None:
    """An unnatural chunk is split by kinds of characters: between a letter and a mark, which may come from one."""
    text = "x\u0338\u0958\u212b" * 200
    tokens = FRENCH.tokens(text)
    assert "".join(token.text for token in tokens) == text
    assert all(token.text == text[token.start : token.end] for token in tokens)


@pytest.mark.parametrize("tokenizer", [FRENCH, LEARNED])
@pytest.mark.parametrize("text", ["L’été. C’est\n\n", "e\u0301’", "\u1100\u1161\u11a8", "’"])
def test_long_texts_are_split_interruptibly(tokenizer: Tokenizer, text: str) -> None:
    """From one yield to the next, some hundred characters are done at most."""
    text *= 5_000
    assert sum(1 for _ in tokenizer.split(text)) > len(normalize(text)) / 1000

"""The tokenizer: offsets and sentences of any text, the treebank's tokens, and memory and time in bounds."""

import random
import re
import string
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from itertools import pairwise

import pytest
import spacy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.text.english import Rules, spacy_rules
from service.text.interruptible import finish
from service.text.languages import named_tokenizer
from service.text.normalization import normalize, normalize_form
from service.text.tokenizer import Tokenizer
from service.text.tokens import positions

TOKENIZER = Tokenizer()

# What letters alone don't reach: emoji, right-to-left scripts, controls, lone surrogates, marks, spaces of all kinds.
ODD_TEXT = st.text(
    st.sampled_from(
        "aZé1 .,!?'\"’-_/()[]<>:;@#$%+=~*&\\|\t\n\r\x00\x0b\x1c\x85\xa0\u2028"
        "\u200b\u202e\ufeffאبক漢。😀\U0001f468\u200d\ud800"
    ),
    max_size=60,
)


def texts(text: str) -> list[str]:
    return [token.text for token in TOKENIZER.tokens(text)]


@settings(deadline=None, max_examples=500)
@given(st.one_of(ODD_TEXT, st.text()))
@example("")
@example(" \n\t\u2003")
@example("a" * 10_000)
@example("word " * 5_000)
@example("(" * 3_000 + "end")
@example("\ud800 lone \udfff")
@example("שלום, עולם! مرحبا؟ 😀👩‍👩‍👧")
@example("“so” „so“ 5″")
def test_tokens_cover_the_text_and_nothing_else(text: str) -> None:
    tokens = TOKENIZER.tokens(text)
    position = 0
    for token in tokens:
        assert not normalize(text[position : token.start]).strip()
        assert token.text == text[token.start : token.end] != ""
        assert not any(character.isspace() for character in token.text)
        position = token.end
    assert not normalize(text[position:]).strip()
    if tokens:
        assert not tokens[0].continues
    for before, token in pairwise(tokens):
        assert not token.continues or before.end == token.start

    assert finish(TOKENIZER.words(text)) == [normalize_form(token.text) for token in tokens]

    sentences = TOKENIZER.sentences(text)
    assert [token for sentence in sentences for token in sentence.tokens] == tokens
    for sentence in sentences:
        assert (sentence.start, sentence.end) == (sentence.tokens[0].start, sentence.tokens[-1].end)
        assert not sentence.tokens[0].continues


@given(st.text("aé漢𠮷", max_size=50), st.data())
def test_offsets_cut_what_the_other_languages_have_where_code_points_cut(text, data):
    at = data.draw(st.integers(0, len(text)))
    assert positions(text, "code_points")[at] == at
    assert positions(text, "utf8")[at] == len(text[:at].encode())
    assert positions(text, "utf16")[at] == len(text[:at].encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    "marked",
    [
        "One. |Two! |Three? |Four",
        "He came. |she left. |3 stayed.",  # nobody types capitals everywhere
        "Mr. Smith went to Washington, D.C. on Jan. 3 at 5 p.m. sharp.",
        "Wait... what? |Well... |Then go.",
        '"Really?" she asked. |"Yes." |He left.',
        "(It rained.) |We stayed in.",
        "1. First comes this. |2. Then that.",
        "Thanks! :) |See you soon.",
        "I love it 🙂 |So good 👩\u200d👩\u200d👧 |We go 👍🏽 |They too.",
        "What?! |No way!!! |Sure.",
        "It is I. |Do not go.",
        "One line\nand its next line.",
        "A title\n\n|A paragraph.",
        "A title\r\n\r\n|A paragraph.",
        "A title \n \t\n|A paragraph.",
        "==========\n|Under",
        "It ended.|The next one began?|yes.",
        "これは文です。|次の文です。",
        "यह एक वाक्य है। |दूसरा वाक्य।",
        "Visit example.org, then. |Ask a.b@c.org!",
    ],
)
def test_where_sentences_end(marked: str) -> None:
    text = marked.replace("|", "")
    found = [text[sentence.start : sentence.end] for sentence in TOKENIZER.sentences(text)]
    assert found == [sentence.strip() for sentence in marked.split("|")]


def test_long_words_and_sentences_stay_whole() -> None:
    assert texts("a" * 10_000) == ["a" * 10_000]
    [sentence] = TOKENIZER.sentences("word " * 5_000)
    assert len(sentence.tokens) == 5_000
    assert texts("see https://example.org/" + "x/" * 500)[1:] == ["https://example.org/" + "x/" * 500]


@pytest.mark.parametrize(
    "marked", "they|'ll DO|N'T can|not wan|na do|nt Anna|'s parents|' I|’ve I|'d|'ve 'T|is ’t|was".split()
)
def test_contractions_and_possessives_are_one_word(marked: str) -> None:
    tokens = TOKENIZER.tokens(marked.replace("|", ""))
    assert "|".join(token.text for token in tokens) == marked
    assert [token.continues for token in tokens] == [False] + [True] * marked.count("|")


@pytest.mark.parametrize(
    "marked",
    [
        "e-mail a well|-|known anti-war non-profit",
        "F|-|16 and 10|-|12 on 555-1234",
        "and|/|or 1|/|2 on 9/11",
        "Really|?! Yes|!!! No|...",
        "great|:) ----- <<|Alberta|>>",
        "at 7:30|PM for $|25|bn|, 65|k",
        "Lt. Smith|, Mr. Jones etc|.",
        "cats|, dogs|, etc.|, too",
        "the 60's and ’72",
        "the date|(|s|) -|now",
        "id card on Wed. at http://example.org/a/",
        "ask Rice@ENRON or <|a.b@c.de|>",
        "in test|...|I|'m or rule|--|yes",
        "(|8|) or 8|) 8-)",
        "21|–|7|, 1939|–|45",
        "dunk|?|#old hm|!|@bob",
        "so am I|. U. S.",
    ],
)
def test_habits_of_the_treebank(marked: str) -> None:
    assert texts(marked.replace("|", "")) == marked.replace("|", " ").split()


@pytest.mark.parametrize("name", ["spacy-en", "spacy-fr", "spacy-de", "spacy-xx"])
def test_an_address_keeps_the_brackets_that_it_opens(name: str) -> None:
    address = "https://en.wikipedia.org/wiki/Tokyo_(city)"
    for text, tokens in {
        address: address,
        f"({address})": f"( {address} )",
        f"{address}.": f"{address} .",
        f"(in {address}, {address}/a)": f"( in {address} , {address}/a )",
        "(https://example.org/a)": "( https://example.org/a )",
    }.items():
        assert [token.text for token in named_tokenizer(name).tokens(text)] == tokens.split()


# Whose rules come with spaCy, in several scripts.
LANGUAGES = "ar bg ca de el en es fa fi fr he hi it nl pl pt ru tr uk".split()
FURTHER = {
    "en": """The U.S. didn't sign (yet), said Dr. O'Neill-Smith; "we're not done!" 3.5km at 5pm costs $1,000.50/day.
    See www.example.com/a?b=c or e-mail a.b@c.org... C++ isn't C#, e.g. :) or :-( and «that's» it’s 1990s-era
    "quoted".Next i.e. can't've 'tis 10% of x=y a/b,c 20°C. — dash–dash 'single' ain't y'all'd N.Y. Inc. (A&B)""",
    "fr": "L'homme n'a pas vu aujourd'hui l'arc-en-ciel (10,5 %), dit-il à M. Dupont.",
    "de": "Z.B. kostet das Fahrrad 1.200,50 € im Süd-Westen, sagte „Prof. Müller“.",
    "he": "שלום, עולם! הכלב רואה את החתול (היום).",
    "ar": "مرحبا، يا عالم! كم الساعة؟",
    "ru": "Москва — столица, т.е. главный город; не так ли?",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_have_the_tokens_of_spacy(language: str) -> None:
    """English by spaCy's rules alone."""
    nlp = spacy.blank(language)
    tokenizer = Tokenizer(spacy_rules()) if language == "en" else named_tokenizer(f"spacy-{language}")
    for text in [*import_module(f"spacy.lang.{language}.examples").sentences, FURTHER.get(language, "")]:
        assert [token.text for token in tokenizer.tokens(text)] == [
            token.text for token in nlp(text) if not token.is_space
        ]


def test_memory_does_not_grow_with_new_words() -> None:
    tokenizer, choose = Tokenizer(), random.Random(1)

    def read_new_words() -> int:
        for _ in range(25_000):
            tokenizer.tokens("".join(choose.choices(string.ascii_lowercase, k=12)))
        return sys.getallocatedblocks()

    before = read_new_words()  # fills what is remembered
    assert read_new_words() - before < 1_000


def searched(rules: Rules, text: str) -> list[str]:
    """Splits a text by rules; returns the texts in which a suffix is searched, which costs the most."""
    found: list[str] = []

    def suffix(text: str) -> re.Match[str] | None:
        found.append(text)
        return rules.suffix(text)

    tokens = Tokenizer(replace(rules, suffix=suffix)).tokens(text)
    assert "".join(token.text for token in tokens) == text.replace(" ", "")
    return found


@pytest.mark.parametrize("chunk", ["(" * 4_000, "a-" * 2_000, "'\"" * 2_000, "(" * 250])
def test_time_is_linear_in_the_length_of_a_chunk(chunk: str) -> None:
    """In the square it would be 10 000 000 characters."""
    assert sum(map(len, searched(spacy_rules(), chunk))) <= 20 * len(chunk)


@pytest.mark.parametrize("mark", ["😀", "%", "(", "'\"", "[a", ":)", "a.", "-"])
def test_a_chunk_has_a_bounded_number_of_affixes_taken_off(mark: str) -> None:
    """One search for each affix would be 256 a chunk."""
    text = " ".join(f"{(mark * 256)[:253]}{i:03d}" for i in range(20))
    assert len(searched(TOKENIZER.rules, text)) <= 20 * 2 * 32


def test_threads_share_a_tokenizer() -> None:
    tokenizer = Tokenizer()
    lines = [f"Don't stop no. {i}, it's (well-known) word{i}." for i in range(2_000)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tokenizer.tokens, lines)) == [TOKENIZER.tokens(line) for line in lines]


@pytest.mark.parametrize(
    "marked",
    [
        "I ❤️ you",  # a heart and the selector of its coloured form
        "love|❤️|❤️|!!",
        "(|❤️|) do|n't|☺️|.",
        "❤︎",  # the selector of its text form
        "👩\u200d👩\u200d👧|, 👨🏿\u200d🚀|!",
        "👍🏽|👍🏽|👍",
        "🇩🇪|🇫🇷 🏳️\u200d🌈",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f|!",
        "1️⃣ or #️⃣",
        "see https://example.org/❤️/a",
        "|".join(["❤️"] * 200),  # longer than what the rules split
        "©|2020 100|% 😀|😀|so|🫠 I|♥|NY",  # of one code point
    ],
)
def test_an_emoji_is_one_token(marked: str) -> None:
    text, tokens = marked.replace("|", ""), marked.replace("|", " ").split()
    assert texts(text) == finish(TOKENIZER.words(text)) == tokens

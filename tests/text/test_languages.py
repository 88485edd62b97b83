"""The tokenizer of each language: spaCy's rules for it, found by the name in a manifest."""

import re

import pytest
from spacy.lang import char_classes

from service.text.interruptible import finish
from service.text.languages import named_tokenizer, tokenizer_name
from service.text.normalization import normalize
from service.text.segmenter import Classifier, Segmenter
from service.text.tokenizer import Tokenizer


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("en-GB", "wanna go?!", "wan na go ?!"),  # as its treebank does
        ("qqq-Latn", "Foo, bar!", "Foo , bar !"),  # has no rules
        ("de", "26 000 m", "26 000 m"),  # has no words with spaces
        ("en", "26 000 m", "26 000 m"),
    ],
)
def test_a_language_has_its_rules_or_those_of_none(language: str, text: str, tokens: str) -> None:
    assert [token.text for token in named_tokenizer(tokenizer_name(language)).tokens(text)] == tokens.split()


@pytest.mark.parametrize("name", ["fr", "spacy-", "spacy-../x", "moses-fr"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a tokenizer"):
        named_tokenizer(name)


def test_french_words_with_hyphens_and_apostrophes_are_tokens():
    """By patterns that are compiled without the letters of other scripts, which spaCy keeps for other languages."""
    words = ["saut-de-ski", "faux-vampire", "entr'ouvrir", "Saint-Étienne-du-Rouvray", "pet-en-l'air", "zig-zaguer"]
    assert [token.text for token in named_tokenizer("spacy-fr").tokens(" ".join(words))] == words
    assert all(re.fullmatch(f"[{letters}]", "一") for letters in (char_classes.ALPHA, char_classes.ALPHA_LOWER))


@pytest.mark.parametrize("space", [" ", "\u00a0", "\u202f"])
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("26_000 euros", "26_000 euros"),
        ("(1_200_000), 3_500,5", "( 1_200_000 ) , 3_500,5"),
        ("en 1998_200 voix, 12_34, 1_0000, a1_000", "en 1998 200 voix , 12 34 , 1 0000 , a1 000"),
    ],
)
def test_a_french_number_with_spaces_is_a_token(space: str, text: str, tokens: str) -> None:
    text, wanted = text.replace("_", space), [token.replace("_", space) for token in tokens.split()]
    french = named_tokenizer("spacy-fr")
    boundaries = Segmenter(boundaries=Classifier(0.0, {"rule=|": 1.0, "both1=6 -": 2.0, "both1= 0-": 2.0}))
    for tokenizer in (french, Tokenizer(french.rules, boundaries)):
        assert [token.text for token in tokenizer.tokens(text)] == wanted
        assert finish(tokenizer.words(text)) == [normalize(token) for token in wanted]


UNSPACED = {
    "zh": ("我喜欢iPhone，“好”。𠮷 㐀々", "我 喜 欢 iPhone ， “ 好 ” 。 𠮷 㐀 々"),
    "ja": ("コーヒーは好き？ﾊﾟﾝ", "コ ー ヒ ー は 好 き ？ ﾊﾟ ﾝ"),
    "th": ("น้ำดี รัก", "น้ำ ดี รั ก"),
    "lo": ("ນ້ຳດີ", "ນ້ຳ ດີ"),
    "km": ("ខ្ញុំស្រលាញ់។", "ខ្ញុំ ស្រ លា ញ់ ។"),
    "my": ("ဗုဒ္ဓ မြန်မာ။", "ဗု ဒ္ဓ မြ န် မာ ။"),
    "bo": ("བོད་ཡིག་བཟང་ནི།", "བོ ད ་ ཡི ག ་ བ ཟ ང ་ ནི །"),
    "jv": ("ꦧꦱꦗꦮ꧉", "ꦧ ꦱ ꦗ ꦮ ꧉"),
    "ban": ("ᬩᬲᬩᬮᬶ᭞", "ᬩ ᬲ ᬩ ᬮᬶ ᭞"),
    "ko": ("한국어는 쉽다.", "한국어는 쉽다 ."),
}


@pytest.mark.parametrize("language", UNSPACED)
@pytest.mark.parametrize("repeated", [1, 50])
def test_characters_of_scripts_without_spaces_are_tokens(language: str, repeated: int) -> None:
    """By the rules of each language, of none, and of English; also in a chunk that is too long for rules."""
    text, tokens = UNSPACED[language]
    text = text if repeated == 1 else text.replace(" ", "") * repeated
    for name in (f"spacy-{language}", "spacy-xx", "spacy-en"):
        found = [token.text for token in named_tokenizer(name).tokens(text)]
        assert "".join(found) == text.replace(" ", "")
        if repeated == 1 or language != "ko":
            assert found[: tokens.count(" ")] == tokens.split()[:-1]

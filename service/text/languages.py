"""Makes tokenizers by their names in manifests: "spacy-" and the language, such as "spacy-fr"."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

from spacy.lang import char_classes
from spacy.util import get_lang_class

from service.text.english import CHUNK, spacy_rules
from service.text.segmenter import Segmenter
from service.text.tokenizer import Tokenizer
from service.text.tokens import TOKENIZER_NAME

ENGLISH = "spacy-en"
EUROPEAN = [chr(code) for code in (*range(0x530), *range(0x1E00, 0x2000))]  # Latin, Greek, Cyrillic, and their marks
# French treebanks have a number with spaces between its thousands as one word; others have several, "26|000".
SPACED_NUMBERS = {"fr": re.compile(r"(?:(?<![\w.,])\d{1,3}(?: \d{3})+(?!\w)|\S)+")}
NEUTRAL = "xx"  # spaCy's rules for no language in particular


def tokenizer_name(language: str) -> str:
    """Returns the name of the tokenizer for a language, a tag of BCP 47 such as "fr" or "pt-BR"."""
    return f"spacy-{primary(language)}"


def primary(language: str) -> str:
    """Returns the primary language of a tag of BCP 47: "pt" of "pt-BR"."""
    return language.partition("-")[0].lower()


@lru_cache
def named_tokenizer(name: str) -> Tokenizer:
    """Returns the tokenizer of a name, the same one each time. Raises ValueError for an invalid name.

    Its rules are the treebank's for English, otherwise spaCy's, or NEUTRAL where spaCy has none.
    """
    if not (named := TOKENIZER_NAME.fullmatch(name)):
        raise ValueError(f"{name!r} is not the name of a tokenizer, as {ENGLISH} is")
    if name == ENGLISH:
        return Tokenizer()
    language = named[1]
    try:
        with _european_letters() if language == "fr" else nullcontext():
            found = get_lang_class(language)
    except ImportError:
        found = get_lang_class(NEUTRAL)
    return Tokenizer(replace(spacy_rules(found.Defaults), chunk=SPACED_NUMBERS.get(language, CHUNK)))


def make_tokenizer(name: str | None, segmenter: Segmenter | None = None) -> Tokenizer:
    """Returns the tokenizer of a model: the named one, English by default, with the model's segmenter if any."""
    named = named_tokenizer(name or ENGLISH)
    return Tokenizer(named.rules, segmenter) if segmenter else named


@contextmanager
def _european_letters() -> Iterator[None]:
    """Leaves out the letters of other scripts in the patterns of a language that spaCy imports in the block.

    French words with hyphens are matched by 83 patterns. With 105,000 letters, most of them Chinese and Korean, in each
    of their classes, they take 2.5 s to compile, with ranges of European ones 0.3 s.
    """
    before = {name: getattr(char_classes, name) for name in ("ALPHA", "ALPHA_LOWER")}
    for name, letters in before.items():
        setattr(char_classes, name, _ranges(filter(re.compile(f"[{letters}]").match, EUROPEAN)))
    try:
        yield
    finally:
        for name, letters in before.items():
            setattr(char_classes, name, letters)


def _ranges(letters: Iterable[str]) -> str:
    """Returns sorted letters as the content of a class in a regular expression: "abcx" as "a-cx"."""
    codes = enumerate(map(ord, letters))
    groups = (list(group) for _, group in groupby(codes, lambda numbered: numbered[1] - numbered[0]))
    return "".join(
        chr(group[0][1]) if len(group) == 1 else f"{chr(group[0][1])}-{chr(group[-1][1])}" for group in groups
    )

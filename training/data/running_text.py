"""Sentences of running text, and the styles that people write them in."""

import unicodedata
from collections.abc import Callable, Iterable

from service.text.tokenizer import Tokenizer

LENGTHS = range(2, 61)  # in words, of the sentences that are used
CASES: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": lambda word: word[:1].upper() + word[1:],
}
TYPOGRAPHIC = str.maketrans({"'": "’", '"': "”", "-": "‐"})  # quotes as in print, and the hyphen of its own
WRITTEN: dict[str, Callable[[str], str]] = {  # how the words of a treebank may be written otherwise
    "lower": str.lower,
    "upper": str.upper,
    "typographic": lambda word: word if word == "-" else word.translate(TYPOGRAPHIC),
    "decomposed": lambda word: unicodedata.normalize("NFD", word),
}


def sentences(texts: Iterable[str], tokenizer: Tokenizer) -> list[tuple[str, ...]]:
    """Returns the sentences of texts; program code, which begins with a parenthesis, is left out."""
    cut = (
        tuple(token.text for token in sentence.tokens)
        for text in texts
        if not text.startswith("(")
        for sentence in tokenizer.sentences(text)
    )
    return [words for words in cut if len(words) in LENGTHS]

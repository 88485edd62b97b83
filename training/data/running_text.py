"""Sentences of running text, and the styles that people write them in."""

from collections.abc import Callable, Iterable

from service.text.tokenizer import Tokenizer

LENGTHS = range(2, 61)  # in words, of the sentences that are used
CASES: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": lambda word: word[:1].upper() + word[1:],
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

"""Sentences of running text."""

from collections.abc import Iterable

from service.text.spacy_tokenizer import SpacyTokenizer

LENGTHS = range(2, 61)  # in words, of the sentences that are used


def sentences(texts: Iterable[str], tokenizer: SpacyTokenizer) -> list[tuple[str, ...]]:
    """Returns the sentences of texts; program code, which begins with a parenthesis, is left out."""
    cut = (
        tuple(token.text for token in sentence.tokens)
        for text in texts
        if not text.startswith("(")
        for sentence in tokenizer.sentences(text)
    )
    return [words for words in cut if len(words) in LENGTHS]

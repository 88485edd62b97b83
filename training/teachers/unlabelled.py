"""Unlabelled text for distillation: sentences of reviews, of a textbook and of MASC, split by the service's tokenizer.

Some are written as people write on the web: in lower case, in capitals, without the last full stop.
"""

from collections.abc import Iterable

import numpy as np

from service.artifact.manifest import DataSource
from service.text.spacy_tokenizer import SpacyTokenizer
from training.data import corpora

REVIEWS, TEXTBOOK, MASC = ("imdb", "train"), ("kjv_sicp", "sicp"), ("masc", "text")
LENGTHS = range(2, 61)  # in words, of the sentences that are used
STYLES = {"lower": 0.06, "upper": 0.03, "title": 0.02, "open": 0.06}  # the share of sentences rewritten in each style


def sources() -> tuple[DataSource, ...]:
    """Returns the origin of the text for a manifest."""
    wanted = (REVIEWS, TEXTBOOK, MASC)
    return tuple(s for corpus, part in wanted for s in corpora.sources(corpus) if s.name.endswith(f": {part}"))


def sentences(tokens: int, seed: int) -> list[tuple[str, ...]]:
    """Returns sentences with this many tokens in total, some of them rewritten in another style.

    All of MASC, which is of many kinds, comes last; what comes before is drawn at random from reviews and textbook.
    """
    rng = np.random.default_rng(seed)
    found = _split(row["text"].replace("<br />", "\n") for row in corpora.read_table(*REVIEWS))
    found += _split(corpora.read(*TEXTBOOK).split("\n\n"))
    last = _split(corpora.read(*MASC).split("\n"))
    tokens -= sum(map(len, last))
    chosen = []
    for i in rng.permutation(len(found)):
        if tokens <= 0:
            break
        chosen.append(found[i])
        tokens -= len(found[i])
    return [_restyled(words, rng) for words in (*chosen, *last)]


def _split(texts: Iterable[str]) -> list[tuple[str, ...]]:
    """Returns the sentences of texts; program code, which begins with a parenthesis, is left out."""
    tokenizer = SpacyTokenizer()
    cut = (
        tuple(token.text for token in sentence.tokens)
        for text in texts
        if not text.startswith("(")
        for sentence in tokenizer.sentences(text)
    )
    return [words for words in cut if len(words) in LENGTHS]


def _restyled(words: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
    """Returns a sentence as it is, or in one of STYLES."""
    style = rng.choice([*STYLES, "as it is"], p=[*STYLES.values(), 1 - sum(STYLES.values())])
    if style == "lower":
        return tuple(word.lower() for word in words)
    if style == "upper":
        return tuple(word.upper() for word in words)
    if style == "title":
        return tuple(word[:1].upper() + word[1:] for word in words)
    if style == "open" and words[-1] == ".":
        return words[:-1]
    return words

"""Unlabelled text for distillation: sentences of reviews, of a textbook and of further text.

It is split by the service's tokenizer.

Some are written as people write on the web: in lower case, in capitals, without the last full stop.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from service.artifact.manifest import DataSource
from service.text.spacy_tokenizer import SpacyTokenizer
from training.data import corpora, running_text
from training.data.catalogue import CORPORA
from training.tasks.recipe import TeacherSettings

REVIEWS, TEXTBOOK, COMMENTS = ("imdb", "train"), ("kjv_sicp", "sicp"), "goemotions"
STYLES = {"lower": 0.06, "upper": 0.03, "title": 0.02, "open": 0.06}  # the share of sentences rewritten in each style


def sources(settings: TeacherSettings) -> tuple[DataSource, ...]:
    """Returns the origin of the text for a manifest."""
    further = [(corpus, part) for corpus in settings.further_text for part in _parts(corpus)]
    return tuple(source for part in (REVIEWS, TEXTBOOK, *further) for source in corpora.sources("/".join(part)))


def sentences(settings: TeacherSettings, seed: int) -> list[tuple[str, ...]]:
    """Returns sentences with `unlabelled_tokens` tokens in total, some of them rewritten in another style.

    What is drawn at random from reviews and textbook comes first, then all of the further text.
    """
    rng = np.random.default_rng(seed)
    found = _split(row["text"].replace("<br />", "\n") for row in corpora.read_table(*REVIEWS))
    found += _split(corpora.read(*TEXTBOOK).split("\n\n"))
    last = [words for corpus in settings.further_text for words in _split(_lines(corpus))]
    tokens = settings.unlabelled_tokens - sum(map(len, last))
    chosen = []
    for i in rng.permutation(len(found)):
        if tokens <= 0:
            break
        chosen.append(found[i])
        tokens -= len(found[i])
    return [_restyled(words, rng) for words in (*chosen, *last)]


def _parts(corpus: str) -> Sequence[str]:
    """Returns the files of a corpus whose text is used: all, but of labelled comments train alone."""
    return ("train",) if corpus == COMMENTS else tuple(CORPORA[corpus].files)


def _lines(corpus: str) -> Iterator[str]:
    """Yields the texts of a corpus."""
    for part in _parts(corpus):
        if corpus == COMMENTS:
            texts = (row["text"] for row in corpora.read_table(corpus, part))
            yield from (text for text in texts if "[" not in text)  # some have "[NAME]" in place of a name
        else:
            yield from corpora.read(corpus, part).split("\n")


def _split(texts: Iterable[str]) -> list[tuple[str, ...]]:
    return running_text.sentences(texts, SpacyTokenizer())


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

"""Unlabelled text for distillation: sentences of reviews, of a textbook and of further text.

It is split by the service's tokenizer.

Some are written as people write on the web: in lower case, in capitals, without the last full stop.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from service.artifact.manifest import DataSource
from service.text.tokenizer import Tokenizer
from training.data import corpora, running_text, treebank
from training.data.catalogue import CORPORA
from training.data.files import DataFileError, read_text
from training.tasks.recipe import TeacherSettings

REVIEWS, TEXTBOOK, COMMENTS = ("imdb", "train"), ("kjv_sicp", "sicp"), "goemotions"
STYLES = {"lower": 0.06, "upper": 0.03, "title": 0.02, "open": 0.06}  # the share of sentences rewritten in each style


class UnlabelledText(NamedTuple):
    """Unlabelled sentences, and where they are from, for a manifest."""

    sentences: list[tuple[str, ...]]
    sources: tuple[DataSource, ...]


def of_corpora(settings: TeacherSettings, seed: int) -> UnlabelledText:
    """Returns the text that the settings name."""
    return UnlabelledText(sentences(settings, seed), sources(settings))


def of_file(path: Path, licence: str, tokenizer: Tokenizer, tokens: int, seed: int) -> UnlabelledText:
    """Returns sentences of a file of plain text, drawn at random, with `tokens` tokens in total, if it has so many.

    Some of them are rewritten in another style. Raises DataFileError.
    """
    lines = [line.strip() for line in read_text(path).split("\n")]
    rng = np.random.default_rng(seed)
    chosen: list[tuple[str, ...]] = []
    for i in rng.permutation(len(lines)):
        if tokens <= 0:
            break
        found = running_text.sentences([lines[i]], tokenizer)
        chosen += found
        tokens -= sum(map(len, found))
    if not chosen:
        least, most = running_text.LENGTHS[0], running_text.LENGTHS[-1]
        raise DataFileError(path, None, "has no sentence", f"plain text with sentences of {least} to {most} words")
    return UnlabelledText([_restyled(words, rng) for words in chosen], (corpora.source(path, licence),))


def of_treebank(part: str) -> UnlabelledText:
    """Returns the words of all sentences of a treebank's part, CORPUS/PART, without their tags.

    A space within a word, as in the French "10 000", becomes one that does not separate words.
    """
    trees = treebank.read(corpora.read(*part.split("/")))
    return UnlabelledText(
        [tuple(form.replace(" ", "\u00a0") for form in tree.forms) for tree in trees], corpora.sources(part)
    )


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
    return running_text.sentences(texts, Tokenizer())


def _restyled(words: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
    """Returns a sentence as it is, or in one of STYLES."""
    style = rng.choice([*STYLES, "as it is"], p=[*STYLES.values(), 1 - sum(STYLES.values())])
    if style in running_text.CASES:
        return tuple(map(running_text.CASES[style], words))
    if style == "open" and words[-1] == ".":
        return words[:-1]
    return words

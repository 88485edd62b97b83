"""Unlabelled text for distillation: sentences of film reviews, split by the service's tokenizer."""

import numpy as np

from service.artifact.manifest import DataSource
from service.text.spacy_tokenizer import SpacyTokenizer
from training.data import corpora

CORPUS = "imdb"
LENGTHS = range(2, 61)  # in words, of the sentences that are used


def sources() -> tuple[DataSource, ...]:
    """Returns the origin of the text for a manifest."""
    return tuple(source for source in corpora.sources(CORPUS) if source.name.endswith("train"))


def sentences(tokens: int, seed: int) -> list[tuple[str, ...]]:
    """Returns sentences of the train part of IMDB in random order, with this many tokens in total."""
    tokenizer = SpacyTokenizer()
    found = []
    for row in corpora.read_table(CORPUS, "train"):
        text = row["text"].replace("<br />", "\n")
        cut = (tuple(token.text for token in sentence.tokens) for sentence in tokenizer.sentences(text))
        found += [words for words in cut if len(words) in LENGTHS]
    chosen = []
    for i in np.random.default_rng(seed).permutation(len(found)):
        if tokens <= 0:
            break
        chosen.append(found[i])
        tokens -= len(found[i])
    return chosen

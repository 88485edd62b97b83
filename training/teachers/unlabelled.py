"""Text that nobody has labelled: sentences of film reviews, as the service's tokenizer cuts them."""

import numpy as np

from service.artifact import DataSource
from service.text.spacy_tokenizer import SpacyTokenizer
from training import corpora

CORPUS = "imdb"
LENGTHS = range(2, 61)  # of sentences that are of use


def sources() -> tuple[DataSource, ...]:
    """Returns what a manifest says of it."""
    return tuple(source for source in corpora.sources(CORPUS) if source.name.endswith("train"))


def sentences(tokens: int, seed: int) -> list[tuple[str, ...]]:
    """Returns sentences of the train part of IMDB, in random order, of so many tokens together."""
    tokenizer = SpacyTokenizer()
    found = []
    for line in corpora.read(CORPUS, "train").split("\n")[1:-1]:
        text = line.split("\t")[3].replace("<br />", "\n")
        cut = (tuple(token.text for token in sentence.tokens) for sentence in tokenizer.sentences(text))
        found += [words for words in cut if len(words) in LENGTHS]
    chosen = []
    for i in np.random.default_rng(seed).permutation(len(found)):
        if tokens <= 0:
            break
        chosen.append(found[i])
        tokens -= len(found[i])
    return chosen

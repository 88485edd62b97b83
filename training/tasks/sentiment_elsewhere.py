"""Measures a classifier of sentiment on corpora that no model may learn from, as the service classifies their texts."""

import logging
from collections.abc import Callable, Sequence

import numpy as np

from service.artifact.manifest import Metric
from service.text.tokenizer import Tokenizer
from training.data import corpora, labelled_texts, translations
from training.data.corpora import CorpusError
from training.data.dataset import Array
from training.data.splits import sample
from training.data.sst import NEUTRAL, Phrase
from training.metrics.scores import MACRO_RECALL, POLARITY, macro_recall, percent, right_side

log = logging.getLogger("tagwerk.training")

REVIEWS = 1000  # a sample of so many is measured: they are long

Classify = Callable[[Sequence[tuple[str, ...]]], Array]  # the words of texts -> probabilities of three labels  # [N, 3]


def measure(classify: Classify, split: str) -> tuple[Metric, ...]:
    """Measures tweets, package descriptions and film reviews; leaves out, with a warning, corpora that are not here.

    Descriptions have no labels: nearly all of them state facts, so it is the share called neutral that is measured.

    Args:
        split: "dev" or "test". Film reviews have no dev split: train stands for it, whose labels nothing learns from.
    """
    tokenizer, found = Tokenizer(), []
    for name, value in (("tweets", _tweets), ("debian_en_fr", _descriptions), ("imdb", _reviews)):
        try:
            what, figure = value(classify, tokenizer, split)
        except CorpusError as error:
            log.warning("%s is not measured: %s", name, error)
        else:
            found.append(Metric(name=f"{what}, {name}", value=figure, unit="%", split=split))
    return tuple(found)


def _tweets(classify: Classify, tokenizer: Tokenizer, split: str) -> tuple[str, float]:
    texts = [tree[-1] for tree in labelled_texts.read("tweets", split, tokenizer, 0)]
    return MACRO_RECALL, macro_recall(_probabilities(classify, texts).argmax(-1), _labels(texts))


def _descriptions(classify: Classify, tokenizer: Tokenizer, split: str) -> tuple[str, float]:
    words = [tuple(t.text for t in tokenizer.tokens(pair.text)) for pair in translations.read("debian_en_fr", split)]
    return "called neutral", percent(classify(list(filter(None, words))).argmax(-1) == 1)


def _reviews(classify: Classify, tokenizer: Tokenizer, split: str) -> tuple[str, float]:
    part = "test" if split == "test" else "train"
    rows = sample(list(corpora.read_table("imdb", part)), REVIEWS, seed=0)
    texts = [tree[-1] for tree in labelled_texts.examples("imdb", rows, tokenizer, 0)]
    return f"{POLARITY}, {REVIEWS} reviews", percent(right_side(_probabilities(classify, texts), _labels(texts))[0])


def _probabilities(classify: Classify, texts: Sequence[Phrase]) -> Array:
    return classify([text.tokens for text in texts])


def _labels(texts: Sequence[Phrase]) -> Array:
    """Returns 0 for negative, 1 for neutral, 2 for positive."""
    return np.array([1 + np.sign(text.grade - NEUTRAL) for text in texts])

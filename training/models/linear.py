"""Simple models that are trained in seconds, with which networks are compared."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier

from training.data.dataset import Array

Tokens: TypeAlias = Sequence[str]
Guess: TypeAlias = Callable[[Sequence[Tokens]], Array]  # sentences or texts -> labels of all of their words, or of each

HASHED = 2**18  # features of words
WEIGHTS = 20_000_000  # of a classifier, at most
EDGE = "<edge>"


def most_frequent_tag(sentences: Sequence[Tokens], tags: Array) -> Guess:
    """Returns a guess of the most frequent tag of each word. A new word gets the most frequent tag of rare words.

    Args:
        tags: of all words of the sentences, int, shape [N]; negative for a word that is not learned from.
    """
    counts: dict[str, Counter[int]] = {}
    for word, tag in zip((w for words in sentences for w in words), tags.tolist(), strict=True):
        if tag >= 0:
            counts.setdefault(word.lower(), Counter())[tag] += 1
    once = sum((found for found in counts.values() if found.total() == 1), Counter()) or sum(counts.values(), Counter())
    best = {word: found.most_common(1)[0][0] for word, found in counts.items()}
    unknown = once.most_common(1)[0][0]
    return lambda sentences: np.array([best.get(word.lower(), unknown) for words in sentences for word in words])


def linear_tagger(sentences: Sequence[Tokens], tags: Array, seed: int) -> Guess:
    """Trains a linear model of each word by itself, its affixes, its shape and its neighbours. Arguments as above."""
    hasher = FeatureHasher(HASHED, input_type="string", alternate_sign=False)

    def features(sentences: Sequence[Tokens]) -> Any:
        return hasher.transform(found for words in sentences for found in _features(words))

    model = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=8, tol=None, average=True, random_state=seed)
    learned = tags >= 0
    model.fit(features(sentences)[learned], tags[learned])
    return lambda sentences: model.predict(features(sentences))


def most_frequent_label(labels: Array) -> Guess:
    """Returns a guess of the most frequent label for each text. labels: int, shape [N]."""
    best = int(np.bincount(labels).argmax())
    return lambda texts: np.full(len(texts), best)


def linear_classifier(texts: Sequence[Tokens], labels: Array, seed: int) -> Guess:
    """Trains a logistic regression on the TF-IDF of words and pairs of words. labels: int, shape [N]."""
    most = max(1000, WEIGHTS // len(np.unique(labels)))
    vectors = TfidfVectorizer(analyzer=_words_and_pairs, sublinear_tf=True, max_features=most)
    model = LogisticRegression(C=10.0, max_iter=200, tol=1e-3, random_state=seed)
    model.fit(vectors.fit_transform(texts), labels)
    return lambda texts: model.predict(vectors.transform(texts))


def _words_and_pairs(tokens: Tokens) -> list[str]:
    words = [token.lower() for token in tokens]
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def _features(words: Tokens) -> Iterator[list[str]]:
    """Yields the features of each word of a sentence, as strings."""
    padded = [EDGE, EDGE, *(word.lower() for word in words), EDGE, EDGE]
    for i, word in enumerate(words):
        before2, before, own, after, after2 = padded[i : i + 5]
        shape = "".join("X" if c.isupper() else "x" if c.isalpha() else "9" if c.isdigit() else c for c in word[:8])
        yield [
            "bias",
            f"w={own}",
            f"shape={shape}",
            f"first={i == 0} {word[0].isupper()}",
            *(f"p{n}={own[:n]}" for n in range(1, 5)),
            *(f"s{n}={own[-n:]}" for n in range(1, 6)),
            f"-1={before}",
            f"-2={before2}",
            f"+1={after}",
            f"+2={after2}",
            f"-1s={before[-3:]}",
            f"+1s={after[-3:]}",
            f"-1,0={before} {own}",
            f"0,+1={own} {after}",
            f"-1s,s={before[-3:]} {own[-3:]}",
            f"-2s,-1s={before2[-2:]} {before[-3:]}",
        ]

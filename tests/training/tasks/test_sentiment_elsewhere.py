"""What a classifier of sentiment says of corpora that it does not learn from."""

import logging
from collections.abc import Sequence

import numpy as np

from training.data import corpora
from training.data.corpora import CorpusError
from training.data.dataset import Array
from training.tasks import sentiment_elsewhere

TABLES = {
    ("tweets", "test"): "id\tlabel\ttext\n1\t0\tbad\n2\t1\tred\n3\t1\tgood\n4\t2\tgood\n",
    ("debian_en_fr", "test"): "title\ta red tool\tun outil\nparagraph\tgood tool\tbon outil\n",
    ("imdb", "test"): "id\tlabel\tstars\ttext\nx\t0\t1\tred and bad\ny\t1\t9\tbad or red\n",
}


def classify(texts: Sequence[tuple[str, ...]]) -> Array:
    """Takes "bad" for negative, "good" for positive, all else for neutral."""
    labels = [0 if "bad" in words else 2 if "good" in words else 1 for words in texts]
    return np.eye(3, dtype=np.float32)[labels]


def test_tweets_descriptions_and_reviews_are_measured_if_they_are_here(monkeypatch, caplog):
    monkeypatch.setattr(corpora, "read", lambda *part: TABLES[part])
    found = sentiment_elsewhere.measure(classify, "test")
    assert {metric.name: metric.value for metric in found} == {
        "macro recall, tweets": 83.33,  # of negative and positive all, of neutral a half
        "called neutral, debian_en_fr": 50,
        "accuracy of positive and negative, 1000 reviews, imdb": 50,
    }

    def read(corpus: str, split: str) -> str:
        if corpus == "tweets":
            raise CorpusError("test.tsv is not here")
        return TABLES[corpus, split]

    monkeypatch.setattr(corpora, "read", read)
    with caplog.at_level(logging.WARNING, "tagwerk.training"):
        assert sentiment_elsewhere.measure(classify, "test") == found[1:]
    assert "tweets is not measured: test.tsv is not here" in caplog.text

"""The everyday sentences: those that classifiers learn from, and those on which they are reported."""

import re
from collections import Counter
from pathlib import Path

import pytest

from training import data
from training.data import corpora
from training.data.tables import read_labelled

FOLDER = Path(next(iter(data.__path__)))
FILES = {"everyday_sentences.csv": 60, "everyday_kinds.csv": 100}


@pytest.mark.parametrize(("file", "count"), FILES.items())
def test_a_file_has_each_sentence_once_and_three_labels(file, count):
    rows = list(read_labelled(FOLDER / file, "text", "label"))
    assert len({row.text for row in rows}) == len(rows) == count
    assert set(Counter(row.label for row in rows)) == {"negative", "neutral", "positive"}


def test_the_reported_files_share_no_sentence():
    both = [{row.text for row in read_labelled(FOLDER / file, "text", "label")} for file in FILES]
    assert not set.intersection(*both)


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9']+", text.lower()))


def test_sentences_of_train_differ_from_reported_sentences() -> None:
    reported = [words(row.text) for file in FILES for row in read_labelled(FOLDER / file, "text", "label")]
    for row in corpora.read_table("everyday", "train"):
        learned = words(row["text"])
        assert all(2 * len(learned & other) < len(learned | other) for other in reported), row["text"]


def test_train_has_each_sentence_once_and_three_labels() -> None:
    rows = list(corpora.read_table("everyday", "train"))
    counts = Counter(row["label"] for row in rows)
    assert set(counts) == {"negative", "neutral", "positive"}
    assert max(counts.values()) < 2 * min(counts.values())
    assert len({row["text"] for row in rows}) == len(rows)

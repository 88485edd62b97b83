"""The everyday sentences: those that classifiers learn from, and those on which they are reported."""

import re
from collections import Counter
from pathlib import Path

from training import data
from training.data import corpora
from training.data.tables import read_labelled

FOLDER = Path(next(iter(data.__path__)))
REPORTED = {
    file: [(row.text, row.label) for row in read_labelled(FOLDER / file, "text", "label")]
    for file in ("everyday_sentences.csv", "everyday_kinds.csv")
}


def train() -> list[tuple[str, str]]:
    return [(row["text"], row["label"]) for row in corpora.read_table("everyday", "train")]


def test_a_file_has_each_sentence_once_and_three_labels():
    found = {name: (len(rows), len(dict(rows))) for name, rows in REPORTED.items()}
    assert found == {"everyday_sentences.csv": (60, 60), "everyday_kinds.csv": (100, 100)}
    assert not set.intersection(*(set(dict(rows)) for rows in REPORTED.values())), "the files share no sentence"
    assert len(dict(train())) == len(train())
    counts = [Counter(label for _, label in rows) for rows in (*REPORTED.values(), train())]
    assert [set(count) for count in counts] == [{"negative", "neutral", "positive"}] * 3
    assert max(counts[-1].values()) < 2 * min(counts[-1].values())


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9']+", text.lower()))


def test_sentences_of_train_differ_from_reported_sentences():
    reported = [words(text) for rows in REPORTED.values() for text, _ in rows]
    for text, _ in train():
        learned = words(text)
        assert all(3 * len(learned & other) < len(learned) + len(other) for other in reported), text

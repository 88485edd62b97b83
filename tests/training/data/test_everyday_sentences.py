"""The sentences on which classifiers of sentiment are reported, and from which none learns."""

from collections import Counter
from pathlib import Path

import pytest

from training import data
from training.data.tables import read_labelled

FOLDER = Path(next(iter(data.__path__)))
FILES = {"everyday_sentences.csv": 60, "everyday_kinds.csv": 100}


@pytest.mark.parametrize(("file", "count"), FILES.items())
def test_there_are_so_many_of_three_labels_each_once(file, count):
    rows = list(read_labelled(FOLDER / file, "text", "label"))
    assert len({row.text for row in rows}) == len(rows) == count
    assert set(Counter(row.label for row in rows)) == {"negative", "neutral", "positive"}


def test_no_sentence_is_in_both():
    both = [{row.text for row in read_labelled(FOLDER / file, "text", "label")} for file in FILES]
    assert not set.intersection(*both)


@pytest.mark.parametrize("file", FILES)
def test_no_code_of_training_reads_them(file):
    assert not [path for path in FOLDER.parent.rglob("*.py") if Path(file).stem in path.read_text()]

"""The sentences on which classifiers of sentiment are reported, and from which none learns."""

from collections import Counter
from pathlib import Path

from training import data
from training.data.tables import read_labelled

FILE = Path(next(iter(data.__path__))) / "everyday_sentences.csv"


def test_there_are_sixty_of_three_labels_each_once() -> None:
    rows = list(read_labelled(FILE, "text", "label"))
    assert len({row.text for row in rows}) == len(rows) == 60
    assert set(Counter(row.label for row in rows)) == {"negative", "neutral", "positive"}


def test_no_code_of_training_reads_them() -> None:
    package = FILE.parents[1]
    assert not [path for path in package.rglob("*.py") if FILE.stem in path.read_text()]

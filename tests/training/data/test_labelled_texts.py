"""Tables of texts with a label each: from an archive of reviews, and to examples."""

import io
import tarfile
from pathlib import Path

import pytest

from service.text.spacy_tokenizer import SpacyTokenizer
from training.data import corpora, imdb, labelled_texts
from training.data.sst import Phrase

REVIEWS = {
    "aclImdb/train/pos/0_9.txt": "Lovely.<br /><br />See\tit\x85 twice.",
    "aclImdb/train/neg/10_1.txt": "Dull.",
    "aclImdb/train/neg/2_4.txt": "Not\n good.",
    "aclImdb/test/pos/5_10.txt": "Fine.",
    "aclImdb/train/unsup/1_0.txt": "Nobody says.",
}
TRAIN = (
    "id\tlabel\tstars\ttext\nneg/2_4\t0\t4\tNot good.\nneg/10_1\t0\t1\tDull.\n"
    "pos/0_9\t1\t9\tLovely.<br /><br />See it\x85 twice.\n"
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.tar.gz"
    with tarfile.open(path, "w:gz") as members:
        for name, text in REVIEWS.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            members.addfile(member, io.BytesIO(text.encode()))
    return path


def test_the_reviews_of_a_part_become_a_table(archive: Path) -> None:
    assert imdb.table(archive, "train").decode() == TRAIN
    assert imdb.table(archive, "test").decode().splitlines()[1:] == ["pos/5_10\t1\t10\tFine."]


def test_a_table_becomes_splits_and_a_long_text_loses_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = TRAIN + "".join(f"pos/{i}\t1\t8\tone two three four five six\n" for i in range(1, 10))
    monkeypatch.setattr(corpora, "read", lambda corpus, file: {"train": rows, "test": TRAIN}[file])
    splits = labelled_texts.splits("imdb", SpacyTokenizer(), longest=3)
    assert {split: len(texts) for split, texts in splits.items()} == {"train": 10, "dev": 2, "test": 3}
    assert splits["dev"][0][0] == Phrase(("Not", "good", "."), labelled_texts.NEGATIVE)
    assert splits["train"][-1][0] == Phrase(("one", "five", "six"), labelled_texts.POSITIVE)
    assert splits["test"][2][0].tokens[0] == "Lovely"

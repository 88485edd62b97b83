"""Corpora of texts, from the files that their authors publish to examples."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from service.text.tokenizer import Tokenizer
from training.data import corpora, imdb, labelled_texts, sentiment_tables
from training.data.masc import plain_text
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


def test_the_reviews_of_a_part_become_a_table(tmp_path):
    archive = tmp_path / "reviews.tar.gz"
    with tarfile.open(archive, "w:gz") as members:
        for name, text in REVIEWS.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            members.addfile(member, io.BytesIO(text.encode()))
    assert imdb.table(archive, "train").decode() == TRAIN
    assert imdb.table(archive, "test").decode().splitlines()[1:] == ["pos/5_10\t1\t10\tFine."]


def test_a_table_becomes_splits_and_a_long_text_loses_its_middle(monkeypatch):
    rows = TRAIN + "".join(f"pos/{i}\t1\t8\tone two three four five six\n" for i in range(1, 10))
    monkeypatch.setattr(corpora, "read", lambda corpus, file: {"train": rows, "test": TRAIN}[file])
    splits = labelled_texts.splits("imdb", Tokenizer(), longest=3)
    assert {split: len(texts) for split, texts in splits.items()} == {"train": 10, "dev": 2, "test": 3}
    assert splits["dev"][0][0] == Phrase(("Not", "good", "."), labelled_texts.NEGATIVE)
    assert splits["train"][-1][0] == Phrase(("one", "five", "six"), labelled_texts.POSITIVE)
    assert splits["test"][2][0].tokens[0] == "Lovely"


def test_words_of_all_files_are_read_without_their_tags(tmp_path):
    archive = tmp_path / "masc.zip"
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("masc_tagged/categories.txt", "written/b.txt email\n")
        files.writestr("masc_tagged/written/b.txt", "O_K_UH ,_, that_DT ’s_VBZ it_PRP ._. \n \nYes_UH \n")
        files.writestr("masc_tagged/spoken/a.txt", "Welcome_VB\u0085back_RB _NN !_. \n")
    assert plain_text(archive).decode() == "Welcome back !\nO_K , that ’s it .\nYes\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "published"


def cells(table: bytes) -> list[list[str]]:
    return [line.split("\t") for line in table.decode().splitlines()]


def test_emotions_become_positive_negative_mixed_or_ambiguous(file):
    file.write_text(
        "Fine!\t0,22\ta\r\nOdd.\t22\tb\r\nWell…\t4,27\tc\r\nOh\t7,27\td\r\nno\t2,17\te\r\n", encoding="utf-8"
    )
    rows = cells(sentiment_tables.goemotions(file))
    assert rows[0] == ["label", "emotions", "id", "text"]
    assert [row[0] for row in rows[1:]] == ["positive", "ambiguous", "mixed", "mixed", "mixed"]
    assert rows[1][1:] == ["admiration,realization", "a", "Fine!"]


def test_posts_keep_quotes_and_semicolons(file):
    file.write_bytes('\ufefft1;neutral;"a ""b""; c"\r\nt2;positive;Thank you!\r\n'.encode())
    assert sentiment_tables.senti4sd(file).decode() == 'label\ttext\nneutral\ta "b"; c\npositive\tThank you!\n'


def test_news_has_the_label_that_its_targets_have_in_common(file):
    def sentence(text: str, *polarities: float) -> str:
        targets = [{"mention": f"M{i}", "polarity": value} for i, value in enumerate(polarities)]
        return json.dumps({"sentence_normalized": text, "targets": targets})

    file.write_text("\n".join((sentence("A  b.", 2, 2), sentence("C.", 4), sentence("D.", 6, 2))), encoding="utf-8")
    assert cells(sentiment_tables.newsmtsc(file))[1:] == [
        ["negative", "negative,negative", "M0 | M1", "A b."],
        ["neutral", "neutral", "M0", "C."],
        ["mixed", "positive,negative", "M0 | M1", "D."],
    ]


def test_reviews_have_the_sign_of_their_features(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("set/README.txt", "x[+1]##Not a review.")
        archive.writestr(
            "set/phone.txt", "[t]\nscreen[+2],price[-1]##Bright, dear.\nkey[-3]##Stuck. \n##It is red.\n##\n"
        )
    assert cells(sentiment_tables.product_reviews(file))[1:] == [
        ["mixed", "1", "phone", "screen[+2],price[-1]", "Bright, dear."],
        ["negative", "-3", "phone", "key[-3]", "Stuck."],
        ["neutral", "0", "phone", "", "It is red."],
    ]


def test_pros_are_positive_and_cons_negative(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("set/IntegratedPros.txt", "<Pros>Small\n&amp; light</Pros>\n<Pros> </Pros>")
        archive.writestr("set/IntegratedCons.txt", "<Cons>Dear</Cons>")
    assert sentiment_tables.pros_cons(file).decode() == "label\ttext\nnegative\tDear\npositive\tSmall &amp; light\n"


def test_mixed_and_ambiguous_texts_are_left_out_and_entities_are_decoded(monkeypatch):
    table = "label\ttext\nmixed\tGood and bad.\nneutral\tA &amp;amp; B\nambiguous\tOh?\npositive\tGood\n"
    monkeypatch.setattr(corpora, "read", lambda corpus, file: table)
    found = list(labelled_texts.read("pros_cons", "train", Tokenizer(), 0))
    neutral, positive = Phrase(("A", "&", "B"), labelled_texts.NEUTRAL), Phrase(("Good",), labelled_texts.POSITIVE)
    assert found == [[neutral], [positive]]
    splits = labelled_texts.splits("pros_cons", Tokenizer(), 0)
    assert splits == {"train": [[positive]], "dev": [[neutral]], "test": []}


def test_sentences_that_state_are_neutral_and_code_is_left_out(monkeypatch):
    text = "A pair has two parts. We call them car and cdr.\n\n(define x 1)\n\nA pair has two parts."
    monkeypatch.setattr(corpora, "read", lambda corpus, file: {("kjv_sicp", "sicp"): text}[corpus, file])
    splits = labelled_texts.statements("kjv_sicp/sicp", Tokenizer(), 10)
    found = [tree[-1] for split in ("train", "dev") for tree in splits[split]]
    assert sorted(" ".join(phrase.tokens) for phrase in found) == [
        "A pair has two parts .",
        "We call them car and cdr .",
    ]
    assert {phrase.grade for phrase in found} == {labelled_texts.NEUTRAL}

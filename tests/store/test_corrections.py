"""The files of corrections, and `tagwerk corrections`."""

import csv
import io
import json
import multiprocessing
import os
import resource
import stat
import time
from datetime import UTC, datetime

import pytest

from service.__main__ import main
from service.errors import ConfigurationError, NotStored
from service.store import corrections as files_module
from service.store.corrections import CorrectedToken, Correction, CorrectionFiles
from training.data import tables, treebank

NOW = datetime(2026, 11, 27, 2, 30, tzinfo=UTC)


def labelled(text: str, label: str = "positive", was: str | None = None, **more: str) -> Correction:
    return Correction(time=NOW, model="reviews", version="9", text=text, label=label, was=was, **more)


def tagged(text: str, *tokens: CorrectedToken, **more: bool) -> Correction:
    return Correction(time=NOW, model="tagger-en", version="12", text=text, sentences=(tokens,), **more)


def token(text: str, start: int, upos: str, **more: object) -> CorrectedToken:
    return CorrectedToken(text=text, start=start, end=start + len(text), upos=upos, xpos="X", **more)


BOOK = token("Book", 0, "VERB", feats="Mood=Imp", lemma="book", was={"upos": "NOUN", "feats": "Number=Sing"})
DONT = tagged("Don't!", token("Do", 0, "AUX"), token("n't", 2, "PART", continues=True), token("!", 5, "PUNCT"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TAGWERK_FEEDBACK_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def texts(files: CorrectionFiles, model: str = "reviews") -> list[str]:
    return [one.text for one in files.read(model) if isinstance(one, Correction)]


def test_each_is_a_line_of_json_that_only_the_owner_can_read(folder):
    files = CorrectionFiles(folder, create=True)
    files.append(labelled("Not bad.\nAt all.", was="negative", request_id="order-7"))
    (path,) = folder.glob("*.jsonl")
    (line,) = path.read_text().splitlines()
    assert json.loads(line) == {
        "time": "2026-11-27T02:30:00Z",
        "model": "reviews",
        "version": "9",
        "text": "Not bad.\nAt all.",
        "label": "positive",
        "was": "negative",
        "request_id": "order-7",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files.models() == ["reviews"]


def append_for_ever(folder, number, ready):
    files = CorrectionFiles(folder)
    for i in range(10**6):
        files.append(labelled(f"{number} {i} " + "é" * 20_000))
        ready.set()


def test_writers_that_are_killed_leave_nothing_half_written(folder, monkeypatch):
    """Eight processes write through several rotations, and are killed one after the other."""
    monkeypatch.setattr(files_module, "FILE_BYTES", 400_000)
    monkeypatch.setattr(files_module, "MOST_FILES", 10**6)
    monkeypatch.setattr(os, "fsync", lambda file: None)  # many more writes in the same time
    files = CorrectionFiles(folder, create=True)
    context = multiprocessing.get_context("fork")
    ready = [context.Event() for _ in range(8)]
    writers = [context.Process(target=append_for_ever, args=(folder, i, one)) for i, one in enumerate(ready)]
    for writer in writers:
        writer.start()
    for writer, event in zip(writers, ready, strict=True):
        assert event.wait(60)
        time.sleep(0.02)
        writer.kill()
        writer.join()
    files.append(labelled("the last"))
    found = list(files.read("reviews"))
    half = [one for one in found if isinstance(one, str)]
    assert len(half) <= len(writers), "a killed writer leaves one line without an end at most, which nobody was told of"
    whole = [one.text.split()[:2] for one in found if isinstance(one, Correction)]
    assert whole[-1] == ["the", "last"]
    for number in range(8):
        numbers = [int(count) for by, count in whole[:-1] if by == str(number)]
        assert numbers == list(range(len(numbers))), "none is lost, doubled or out of order"
        assert numbers
    paths = list(folder.glob("*.jsonl"))
    assert len(paths) > 1
    assert all(path.stat().st_size <= 400_000 for path in paths)


def test_a_line_that_was_cut_off_is_skipped_and_the_next_begins_a_line(folder, capsys):
    files = CorrectionFiles(folder, create=True)
    files.append(labelled("before"))
    with (folder / "reviews.1.jsonl").open("a") as file:
        file.write('{"time": "2026-11-27T02:30:00Z", "mod')
    assert texts(files) == ["before"]
    files.append(labelled("after"))
    assert texts(files) == ["before", "after"]
    assert main(["corrections", "export", "reviews"]) == 0
    out, err = capsys.readouterr()
    assert out == "text,label\r\nbefore,positive\r\nafter,positive\r\n"
    assert "reviews.1.jsonl, line 2 is skipped: Invalid JSON" in err


def test_files_are_limited_in_size_and_number(folder, monkeypatch):
    monkeypatch.setattr(files_module, "FILE_BYTES", 250)
    monkeypatch.setattr(files_module, "MOST_FILES", 11)
    files = CorrectionFiles(folder, create=True)
    (folder / "reviews.1.9.jsonl").write_text("")  # of a model called reviews.1
    for i in range(22):
        files.append(labelled(str(i)))
    with pytest.raises(NotStored, match="there are 11 files of reviews already: export them, then move them away"):
        files.append(labelled("22"))
    assert texts(files) == [str(i) for i in range(22)]
    assert files.models() == ["reviews", "reviews.1"]
    (folder / "reviews.1.jsonl").unlink()
    files.append(labelled("22"))
    assert (folder / "reviews.12.jsonl").exists()


def test_a_full_disk_is_an_error_and_leaves_no_part_of_a_line(folder):
    """A limit of the size of files stands for a full disk: the write that exceeds it writes a part."""
    files = CorrectionFiles(folder, create=True)
    files.append(labelled("before"))
    before = (folder / "reviews.1.jsonl").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, hard))
    try:
        with pytest.raises(NotStored, match="not stored, in TAGWERK_FEEDBACK_DIR: No space left on device"):
            files.append(labelled("too much"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (folder / "reviews.1.jsonl").read_bytes() == before
    files.append(labelled("after"))
    assert texts(files) == ["before", "after"]


def test_a_folder_that_cannot_be_used_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"TAGWERK_FEEDBACK_DIR is '.*file': "):
        CorrectionFiles(tmp_path / "file", create=True)
    monkeypatch.delenv("TAGWERK_FEEDBACK_DIR", raising=False)
    assert main(["corrections", "list"]) == 1
    monkeypatch.setenv("TAGWERK_FEEDBACK_DIR", str(tmp_path / "none"))
    assert main(["corrections", "stats"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "tagwerk: set TAGWERK_FEEDBACK_DIR to the folder of the corrections",
        f"tagwerk: TAGWERK_FEEDBACK_DIR is '{tmp_path / 'none'}': No such file or directory",
    ]


def test_what_is_exported_is_read_by_training(folder, tmp_path, capsys):
    files = CorrectionFiles(folder, create=True)
    files.append(tagged("Book it", BOOK, token("it", 5, "PRON", was={"upos": "X"})))
    files.append(DONT)
    files.append(tagged("Book it", BOOK, token("it", 5, "PRON")))  # the latest of this text
    files.append(tagged("a b", token("a", 0, "DET"), token("b", 2, "NOUN"), spaced=False))
    for one in (labelled('Say "no", then.', "negative"), labelled("x\ny", was="neutral"), labelled("x\ny", "neutral")):
        files.append(one)
    assert main(["corrections", "export", "tagger-en", "--output", str(tmp_path / "out.conllu")]) == 0
    first, second, third = treebank.read((tmp_path / "out.conllu").read_text())
    assert first.words[0] == treebank.Word("Book", "VERB", "X", "Mood=Imp", "book")
    assert [one.form for one in second.tokens] == ["Don't", "!"]
    assert not second.tokens[0].space_after
    assert (first.spaced, third.spaced) == (True, False)
    assert [one.document for one in (first, second, third)] == [1, 2, 3]
    assert main(["corrections", "export", "reviews", "--output", str(tmp_path / "out.csv")]) == 0
    read = [(one.text, one.label) for one in tables.read_labelled(tmp_path / "out.csv", "text", "label")]
    assert read == [('Say "no", then.', "negative"), ("x\ny", "neutral")]
    assert main(["corrections", "export", "reviews"]) == 0
    assert list(csv.reader(io.StringIO(capsys.readouterr().out)))[1:] == [list(one) for one in read]
    assert main(["corrections", "export", "reviews", "--output", str(tmp_path / "no" / "out.csv")]) == 1
    assert main(["corrections", "export", "tagger-fr"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"tagwerk: {tmp_path / 'no' / 'out.csv'} cannot be written: No such file or directory",
        "tagwerk: there are no corrections of 'tagger-fr'; there are of: reviews, tagger-en",
    ]


def test_they_are_listed_and_counted(folder, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "150")
    files = CorrectionFiles(folder, create=True)
    files.append(tagged("Book it", BOOK, token("it", 5, "PRON")))
    files.append(labelled("fine", was="neutral", request_id="order-7"))
    files.append(labelled("fine", key="web"))
    assert main(["corrections", "list"]) == 0
    _, review, book = (" ".join(line.split()) for line in capsys.readouterr().out.splitlines())
    assert review == "2026-11-27 02:30 reviews/9 fine nothing: it is right web"
    assert book == "2026-11-27 02:30 tagger-en/12 Book it Book NOUN → VERB, Book Number=Sing → Mood=Imp"
    assert main(["corrections", "stats"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "reviews: 2 corrections, 1 text, 1 right as the model has them",
        "tagger-en: 1 correction, 1 text, 0 right as the model has them",
        "column model's right times",
        "upos NOUN VERB 1",
        "feats Number=Sing Mood=Imp 1",
    ]

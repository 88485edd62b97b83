"""Texts that are most worth correcting."""

import csv
from pathlib import Path

import pytest

from service.__main__ import main
from service.commands.annotate.uncertain import Found, unlike
from tests.in_process import use_test_device


def test_texts_that_are_alike_are_chosen_once():
    texts = ["a b c d", "a b c e", "x y", "x z q", "new"]
    found = [Found(1 / (i + 1), tuple(text.split()), text) for i, text in enumerate(texts)]
    assert [one.written for one in unlike(found, 3)] == ["a b c d", "x y", "x z q"]
    assert len(list(unlike(found, 9))) == 4


@pytest.mark.parametrize("task", ["tag", "classify"])
def test_a_file_to_be_corrected_is_written_once(monkeypatch, tmp_path, capsys, task):
    use_test_device(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("Fine, or not.\n\nFine, or not!\nAnother text\nfine, or not.\n")
    Path("more.txt").write_text("Another text\nStill more words\n")
    arguments = ["annotate", "--task", task, "--uncertain", "5", "texts.txt", "more.txt", "--output", "right.out"]
    monkeypatch.setattr("sys.argv", ["tagwerk", *arguments])
    assert main() == 0
    written = Path("right.out").read_text()
    if task == "tag":
        assert written.count("# newdoc") == 3
    else:
        assert [row[1] for row in csv.reader(written.splitlines())] == ["label", "good", "good", "good"]
    monkeypatch.delattr("service.commands.annotate.command.served")  # refused before models are looked for
    assert main() == 1
    assert "right.out is there already, and may have been corrected" in capsys.readouterr().err

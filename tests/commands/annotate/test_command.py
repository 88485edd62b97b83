"""The command line, and `tagwerk annotate` in a process of its own, with the committed models."""

import argparse
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from loadtests.processes import name_of, processes
from service.__main__ import main
from service.commands.annotate.job import add_arguments
from service.commands.annotate.output import Output
from service.commands.annotate.processes import GROUP, GROUPS_IN_PROGRESS, WORTH
from service.commands.annotate.records import read_run_manifest
from service.commands.annotate.rows import Chunk, Reader
from tests.commands.annotate.conftest import files_in, objects, write
from tests.conftest import CACHE, ROOT, SMALL, STORE

TEXTS = ["She reads it. It didn't stop!", "", "A lovely film 🙂.", "I hate this awful, dull mess."]


def start(*arguments: str, stdin: int = subprocess.DEVNULL, store: Path = STORE) -> subprocess.Popen[bytes]:
    settings = {"TAGWERK_MODEL_STORE": str(store), "TAGWERK_XLA_CACHE": str(CACHE), **SMALL}
    return subprocess.Popen(
        [sys.executable, "-m", "service", "annotate", *arguments],
        env={**os.environ, **settings},
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
        process_group=0,
    )


def heed_interrupts() -> None:
    """A test run that a shell has put into the background ignores them, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def annotate(*arguments: str, content: bytes | None = None, store: Path = STORE) -> tuple[bytes, str]:
    """Returns what a run that succeeds prints and says."""
    process = start(*arguments, stdin=subprocess.PIPE if content is not None else subprocess.DEVNULL, store=store)
    printed, said = process.communicate(content, timeout=280)
    assert process.returncode == 0, said.decode()
    return printed, said.decode()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write(tmp_path, "texts.txt", "\n".join(TEXTS) + "\n")


def test_standard_input_is_classified_as_csv_and_rows_keep_their_texts(texts):
    printed, said = annotate("--task", "classify", "--format", "csv", content=texts.read_bytes())
    assert re.search(r"^standard input: 4 rows, [1-9]\d* rows/s, in -$", said, re.MULTILINE), said
    rows = list(csv.DictReader(io.StringIO(printed.decode(), newline="")))
    assert [(row["line"], row["text"]) for row in rows] == [(str(i), text) for i, text in enumerate(TEXTS, 1)]
    assert (rows[2]["label"], rows[3]["label"]) == ("positive", "negative")
    assert sum(float(rows[2][label]) for label in ("negative", "neutral", "positive")) == pytest.approx(1, abs=1e-4)


def test_runs_of_two_processes_that_are_killed_or_interrupted_leave_no_process_and_no_line_is_lost_or_doubled(
    tagger_store, tmp_path
):
    path, output = tmp_path / "many.csv", tmp_path / "many.csv.tag.jsonl"
    lines = [f"Dog number {i} barks at the {'very ' * (i % 5)}old moon." for i in range(6_000)]  # seconds of work
    beside = "x" * (2 * WORTH["tag"] // len(lines))  # makes the file large enough for two processes
    content = "text,beside\n" + "".join(f"{line},{beside}\n" for line in lines)
    rows = 0
    for ends, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        path.write_text(content)  # the same bytes, at another moment
        process = start(str(path), "--task", "tag", "--processes", "2", store=tagger_store)
        while (made := read_run_manifest(output)) is None or made.rows <= rows:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        rows = made.rows
        children = processes(process.pid)[1:]
        assert len(children) >= 2, "a process that annotates, and multiprocessing's own"
        if ends == signal.SIGKILL:
            process.kill()
        else:
            os.killpg(process.pid, ends)  # as Ctrl-C in a terminal
        _, said = process.communicate(timeout=240)
        assert (process.returncode, output.exists()) == (status, False)
        assert b"Traceback" not in said
        while any(map(name_of, children)):
            time.sleep(0.01)
    assert b"the same command resumes" in said
    other, there = write(tmp_path, "other.txt", "Go!\n"), write(tmp_path, "other.txt.tag.jsonl", "mine")
    _, said_then = annotate(str(path), str(other), "--task", "tag", store=tagger_store)
    assert "resumes after" in said_then
    assert "6000 rows" in said_then
    assert "\x1b" not in said_then, "no bar where there is no terminal"
    with output.open(encoding="utf-8") as results:
        for number, (line, result) in enumerate(zip(lines, map(json.loads, results), strict=True), 2):
            tokens = [token for sentence in result["sentences"] for token in sentence["tokens"]]
            texts = [token["text"] for token in tokens]
            assert (result["line"], "".join(texts)) == (number, line.replace(" ", ""))
            assert texts == [line[token["start"] : token["end"]] for token in tokens]
            assert [token["upos"] for token in tokens][-3:] == ["ADJ", "NOUN", "PUNCT"]
    assert there.read_text() == "mine"
    assert "is there already" in said_then
    assert files_in(tmp_path) == [path, output, other, there]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nowhere.txt", "nowhere.txt cannot be read: No such file"),
        (".github/*.csv", ".github/*.csv: no file to annotate"),
        ("README.md Makefile --output out.jsonl", "out.jsonl is no folder"),
        ("README.md ./README.md", "would have the same output"),
        ("README.md --model none", "there is: tagger"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_loaded(arguments, message, capsys, monkeypatch, engine):
    monkeypatch.chdir(ROOT)
    assert main(["annotate", "--task", "tag", *arguments.split()]) == 1
    assert message in capsys.readouterr().err
    assert engine == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("x --task sing", "invalid choice: 'sing'"),
        ("x", "the following arguments are required: --task"),
        ("x --task classify --format conllu", "CoNLL-U cannot hold classifications"),
        ("x --task classify --tokenized", "--tokenized is for --task tag"),
        ("x --task classify --n-best 2", "--n-best is for --task tag --format jsonl"),
        ("x --task tag --format csv --n-best 2", "--n-best is for --task tag --format jsonl"),
        ("x --task tag --n-best 6", "argument --n-best: invalid choice: 6"),
        ("x --task tag --format parquet --output -", "Parquet cannot go to standard output"),
        ("--task tag --format parquet", "Parquet cannot go to standard output"),
        ("x --task tag --limit 0", "--limit is at least 1"),
        ("x --task tag --processes 0", "--processes is at least 1"),
        ("x --task tag --shard 2/2", "argument --shard: '2/2' is not I/N"),
        ("x --task tag --shard x", "argument --shard: 'x' is not I/N"),
        ("x --task tag --encoding utf-16", "convert the files to UTF-8, with iconv -f utf-16 -t UTF-8"),
        ("x --task tag --encoding klingon", "'klingon' is none that Python knows"),
        ("x --task tag --encoding base64", "'base64' is none that Python knows"),
        ("x --task tag --delimiter ::", "'::' is no single character such as ';' or '|'"),
        ('x --task tag --delimiter "', "is no single character"),
        ("x --task tag --delimiter ; --input-format tsv", "--delimiter is for --input-format csv"),
        ("x --task tag --strict --allow-bad-rows", "--strict ends at the first bad row"),
    ],
)
def test_arguments_that_are_wrong_or_do_not_go_together_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(["annotate", *arguments.split()])
    assert message in capsys.readouterr().err


def test_an_interrupt_before_anything_is_annotated_is_no_traceback(texts, monkeypatch):
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("service.commands.annotate.command.served", interrupt)
    assert main(["annotate", str(texts), "--task", "tag"]) == 130


def test_the_command_line_has_these_options(tmp_path, monkeypatch):
    monkeypatch.setenv("TAGWERK_BATCH_SIZES", "8")
    path, folder = write(tmp_path, "a.txt", "n;review\n1;Fine. Go.\n"), tmp_path / "new"
    common = ["annotate", str(path), "--input-format", "csv", "--text-column", "review", "--prefix", "p_"]
    assert main([*common, "--task", "classify", "--format", "csv", "--output", f"{folder}/"]) == 0
    assert (folder / "a.txt.classify.csv").read_text().splitlines()[0] == "n;review;p_label;p_bad;p_good"
    assert main([*common, "--task", "tag", "--tokenized", "--n-best", "2", "--output", f"{folder}/"]) == 0
    (row,) = objects(folder / "a.txt.tag.jsonl")
    assert [token["text"] for token in row["p_sentences"][0]["tokens"]] == ["Fine.", "Go."]
    best = [{"tag": "NOUN", "probability": 0.75}, {"tag": "VERB", "probability": 0.25}]
    assert row["p_sentences"][0]["tokens"][0]["n_best"]["upos"] == best
    path = write(tmp_path, "b.txt", "n\ttext\n1\tCafé.\n2\n2\n".encode("latin-1"))
    common = ["annotate", str(path), *"--task classify --format csv --encoding latin1 --delimiter \\t".split()]
    assert main([*common, "--output", str(tmp_path / "out.csv"), "--allow-bad-rows"]) == 0
    assert (tmp_path / "out.csv").read_bytes().splitlines()[1] == "1\tCafé.\tgood\t0.25\t0.75".encode()
    assert main([*common, "--output", str(tmp_path / "again.csv")]) == 1


def test_the_documentation_lists_every_option():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = {name for action in parser._actions for name in action.option_strings} - {"-h", "--help"}
    section = (ROOT / "docs" / "operations.md").read_text().partition("\n## Files\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(--[\w-]+)", section, re.MULTILINE)) == options


def test_no_more_is_read_than_is_under_way(tmp_path, monkeypatch):
    """Memory does not grow with the file: a line is read when one is written."""
    under_way, most, read, written = 0, 0, Reader.read_line, Output.write

    def count_read(*arguments: Any) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        return read(*arguments)

    def count_written(output: Output, content: bytes, chunk: Chunk) -> None:
        nonlocal under_way
        under_way -= len(chunk.rows)
        written(output, content, chunk)

    monkeypatch.setattr(Reader, "read_line", count_read)
    monkeypatch.setattr(Output, "write", count_written)
    monkeypatch.setattr("service.commands.annotate.source.CHUNK_ROWS", 1)
    assert main(["annotate", str(write(tmp_path, "a.txt", "Fine.\n" * 400)), "--task", "classify"]) == 0
    assert GROUP < most <= GROUP * GROUPS_IN_PROGRESS + 1

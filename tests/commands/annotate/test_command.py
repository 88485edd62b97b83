"""`tagwerk annotate` in a process of its own, with the committed models."""

import asyncio
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import conllu
import pytest

from service.__main__ import main
from service.commands.annotate.annotator import WINDOW, annotated
from service.commands.annotate.forms import OutputOptions
from service.commands.annotate.rows import Chunk, Position, Row
from tests.commands.annotate.test_output import files_in
from tests.conftest import CACHE, ROOT, SMALL, STORE

TEXTS = ["She reads it. It didn't stop!", "", "A lovely film 🙂.", "I hate this awful, dull mess."]
SETTINGS = {"TAGWERK_MODEL_STORE": str(STORE), "TAGWERK_XLA_CACHE": str(CACHE), **SMALL}


def start(*arguments: str, stdin: int = subprocess.DEVNULL, store: Path = STORE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "service", "annotate", *arguments],
        env={**os.environ, **SETTINGS, "TAGWERK_MODEL_STORE": str(store)},
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
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
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def test_lines_are_tagged_as_json_beside_the_file(texts):
    _, said = annotate(str(texts), "--task", "tag")
    results = [json.loads(line) for line in Path(f"{texts}.tag.jsonl").read_text().splitlines()]
    assert [result["line"] for result in results] == [1, 2, 3, 4]
    for text, result in zip(TEXTS, results, strict=True):
        for token in (token for sentence in result["sentences"] for token in sentence["tokens"]):
            assert text[token["start"] : token["end"]] == token["text"]
    assert [token["upos"] for token in results[0]["sentences"][0]["tokens"]] == ["PRON", "VERB", "PRON", "PUNCT"]
    assert "4 rows" in said
    assert "\x1b" not in said, "no bar where there is no terminal"


def test_lines_become_conllu_for_standard_output(texts):
    printed, _ = annotate(str(texts), "--task", "tag", "--format", "conllu", "--output", "-")
    sentences = conllu.parse(printed.decode())
    assert [sentence.metadata["sent_id"] for sentence in sentences] == ["1-1", "1-2", "3-1", "4-1"]
    assert printed.startswith(b"# generator = tagwerk")
    assert printed.count(b"# generator") == 1


def test_standard_input_is_judged_as_csv_and_rows_keep_their_texts(texts):
    printed, said = annotate("--task", "classify", "--format", "csv", content=texts.read_bytes())
    assert re.search(r"^standard input: 4 rows, [1-9]\d* rows/s, in -$", said, re.MULTILINE), said
    rows = list(csv.DictReader(io.StringIO(printed.decode(), newline="")))
    assert [row["text"] for row in rows] == TEXTS
    assert [row["line"] for row in rows] == ["1", "2", "3", "4"]
    assert (rows[2]["label"], rows[3]["label"]) == ("positive", "negative")
    assert sum(float(rows[2][label]) for label in ("negative", "neutral", "positive")) == pytest.approx(1, abs=1e-4)


def test_several_files_go_into_a_folder_and_what_is_there_stays(texts, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("Go!\n")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "other.txt.tag.csv").write_text("mine")
    _, said = annotate(str(texts), str(other), "--task", "tag", "--format", "csv", "--output", str(folder))
    assert (folder / "other.txt.tag.csv").read_text() == "mine"
    assert "is there already" in said
    content = (folder / "texts.txt.tag.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert [(r["line"], r["sentence"], r["token"], r["text"]) for r in rows][4:8] == [
        ("1", "2", "1", "It"),
        ("1", "2", "2", "did"),
        ("1", "2", "3", "n't"),
        ("1", "2", "4", "stop"),
    ]


def test_a_run_that_is_interrupted_again_and_again_goes_on_and_no_line_is_lost_or_doubled(tagger_store, tmp_path):
    path, output = tmp_path / "many.txt", tmp_path / "many.txt.tag.jsonl"
    lines = [f"Dog number {i} barks at the {'very ' * (i % 5)}old moon." for i in range(8_000)]  # seconds of work
    progress, before = Path(f"{output}.progress"), b""
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        path.write_text("\n".join(lines))  # the same bytes, at another moment
        process = start(str(path), "--task", "tag", store=tagger_store)
        end = time.monotonic() + 240
        while not progress.exists() or progress.read_bytes() == before:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(how)
        _, said = process.communicate(timeout=240)
        assert process.returncode == (-signal.SIGKILL if how is signal.SIGKILL else 130)
        assert (b"the same command resumes" in said) == (how is not signal.SIGKILL)
        assert (b"resumes after" in said) == (before != b"")
        assert not output.exists()
        before = progress.read_bytes()
    _, said_then = annotate(str(path), "--task", "tag", store=tagger_store)
    assert "resumes after" in said_then
    with output.open(encoding="utf-8") as results:
        for number, (line, result) in enumerate(zip(lines, map(json.loads, results), strict=True), 1):
            tokens = [token["text"] for sentence in result["sentences"] for token in sentence["tokens"]]
            assert (result["line"], "".join(tokens)) == (number, line.replace(" ", ""))
    assert files_in(tmp_path) == [path, output]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.txt", "--task", "tag"], "nowhere.txt cannot be read: No such file"),
        ([".github/*.csv", "--task", "tag"], ".github/*.csv: no file to annotate"),
        (["README.md", "Makefile", "--task", "tag", "--output", "out.jsonl"], "out.jsonl is no folder"),
        (["README.md", "./README.md", "--task", "tag"], "would have the same output"),
        (["README.md", "--task", "tag", "--model", "none"], "there is: tagger-en"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_loaded(arguments, message, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TAGWERK_MODEL_STORE", str(STORE))
    assert main(["annotate", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_task_or_form_that_is_none_is_refused(capsys):
    for arguments in (["x", "--task", "sing"], ["x"], ["x", "--task", "tag", "--n-best", "two"]):
        with pytest.raises(SystemExit):
            main(["annotate", *arguments])
    for arguments, message in (
        (["--task", "classify", "--format", "conllu"], "CoNLL-U cannot hold classifications"),
        (["--task", "classify", "--tokenized"], "--tokenized is for --task tag"),
        (["--task", "classify", "--n-best", "2"], "--n-best is for --task tag --format jsonl"),
        (["--task", "tag", "--format", "csv", "--n-best", "2"], "--n-best is for --task tag --format jsonl"),
        (["--task", "tag", "--n-best", "6"], "--n-best is from 1 to 5"),
    ):
        with pytest.raises(SystemExit):
            main(["annotate", "x", *arguments])
        assert message in capsys.readouterr().err


def test_no_more_is_read_than_is_under_way():
    """Memory does not grow with the file: a line is read when one is written."""
    read = 0

    def chunks() -> Iterator[Chunk]:
        nonlocal read
        for i in range(1000):
            read += 1
            yield Chunk([Row(i + 1, str(i))], Position(i, i), Position(i + 1, i + 1))

    async def form(call: object, chunk: Chunk, options: OutputOptions) -> bytes:
        await asyncio.sleep(0)
        return chunk.rows[0].text.encode()

    async def test() -> None:
        pipelines = SimpleNamespace(run=lambda: None)
        written = 0
        async for content, chunk in annotated(pipelines, form, OutputOptions(), chunks()):  # type: ignore[arg-type]
            assert (content, chunk.end.lines) == (str(written).encode(), written + 1), "in order"
            written += 1
            assert read <= written + WINDOW
        assert written == 1000

    asyncio.run(test())

"""Whole runs of `tagwerk annotate` in this process, on a device that gives each text the same label."""

import csv
import io
import json
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.commands.annotate import annotator
from service.commands.annotate.annotator import WINDOW
from service.commands.annotate.command import annotate
from service.commands.annotate.facts import facts
from service.commands.annotate.forms import OutputFormat
from service.commands.annotate.job import Job, plan
from service.commands.annotate.output import Output
from service.commands.annotate.records import UnusableOutput
from service.commands.annotate.rows import UnreadableInput
from service.commands.annotate.source import CHUNK_ROWS, Source
from service.pipelines.in_process import AsyncPipelines
from service.settings import Settings
from tests.commands.annotate.test_output import Killed, files_in, killed_before
from tests.fakes import version_of
from tests.in_process import use_test_device

SECOND_CHUNK = 9  # of the changes of the disk, after the first chunk is kept
LINES = [f"Number {i} is {'very ' * (i % 7)}fine, 🙂 she said." for i in range(3 * CHUNK_ROWS)]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def engine(monkeypatch) -> list[str]:
    """Has each run use an engine on a test device. Returns a list of the models of each engine that was started."""
    monkeypatch.setattr(annotator, "CHECKPOINT_SECONDS", 0.0)
    return use_test_device(monkeypatch)


def run(path: Path, form: OutputFormat = "jsonl", **settings: Any) -> int:
    return annotate(Settings(batch_sizes=(8,), **settings), Job([path], "classify", form))


def test_a_run_that_was_begun_in_another_format_is_refused_before_anything_is_loaded(texts, monkeypatch, engine):
    """The same output, named alike: it would be half of one format and half of the other."""
    output = texts.with_name("out")

    def job(form: OutputFormat) -> int:
        return annotate(Settings(batch_sizes=(8,)), Job([texts], "classify", form, output))

    with killed_before(SECOND_CHUNK, monkeypatch), pytest.raises(Killed):
        job("csv")
    begun = {path: path.read_bytes() for path in texts.parent.iterdir()}
    assert len(begun[output.with_name("out.partial")]) > 1000
    engine.clear()
    with pytest.raises(UnusableOutput, match=r"out.partial was begun with format csv, not jsonl: .*remove it"):
        job("jsonl")
    assert {path: path.read_bytes() for path in texts.parent.iterdir()} == begun
    assert engine == []
    assert job("csv") == 0
    rows = list(csv.DictReader(io.StringIO(output.read_bytes().decode(), newline="")))
    assert [row["text"] for row in rows] == LINES


CHANGES: dict[str, dict[str, Any]] = {
    "task": {"job": Job([], "tag", "jsonl")},
    "text column": {"job": Job([], "classify", "jsonl", text_column="review")},
    "tokenized": {"job": Job([], "classify", "jsonl", tokenized=True)},
    "prefix": {"job": Job([], "classify", "jsonl", prefix="predicted_")},
    "n-best": {"job": Job([], "classify", "jsonl", n_best=2)},
    "strict": {"job": Job([], "classify", "jsonl", strict=True)},
    "encoding": {"job": Job([], "classify", "jsonl", encoding="cp1252")},
    "delimiter": {"job": Job([], "classify", "jsonl", delimiter="|")},
    "limit": {"job": Job([], "classify", "jsonl", limit=2)},
    "format": {"job": Job([], "classify", "csv")},
    "model": {"versions": [version_of("classifier", "classify", version="2")]},
    "model content": {"versions": [version_of("classifier", "classify", description="another")]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_thing_that_decides_the_bytes_is_a_fact(texts, name):
    """And nothing that does not: no setting of the service, such as threads or the place of the model store."""
    usual: dict[str, Any] = {
        "versions": [version_of("classifier", "classify")],
        "job": Job([], "classify", "jsonl"),
    }
    source = Source(texts)
    known = facts(**usual, source=source)
    changed = facts(**usual | CHANGES[name], source=source)
    assert known is not None
    assert changed is not None
    differ = {key for key in known | changed if known.get(key) != changed.get(key)}
    assert differ - ({"model content"} if name == "model" else set()) == {name}


def test_an_input_of_the_same_size_and_moment_but_other_content_is_another(texts, monkeypatch):
    with killed_before(SECOND_CHUNK, monkeypatch), pytest.raises(Killed):
        run(texts)
    moment = texts.stat().st_mtime_ns
    texts.write_text(texts.read_text().replace("Number 700", "NUMBER 700"))
    os.utime(texts, ns=(moment, moment))
    with pytest.raises(UnusableOutput, match="begun with input content"):
        run(texts)


def test_an_input_that_is_the_same_at_another_moment_is_gone_on_with(texts, monkeypatch, capsys):
    with killed_before(SECOND_CHUNK, monkeypatch), pytest.raises(Killed):
        run(texts)
    os.utime(texts, ns=(0, 0))
    assert run(texts) == 0
    assert "resumes after 256 rows" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["grows", "is replaced"])
def test_an_input_that_changes_while_it_is_read_is_an_error(texts, monkeypatch, how):
    write, written = Output.write, 0
    monkeypatch.setattr("service.commands.annotate.source.CHUNK_ROWS", len(LINES) // (2 * WINDOW))

    def changing(output: Output, *annotations: Any) -> None:
        nonlocal written
        write(output, *annotations)
        written += 1
        if written == 1 and how == "grows":
            with texts.open("a") as file:
                file.write("\nMore.")
        elif written == 1:
            other = texts.with_name("other")
            other.write_text("Quite another.\n" * 1000)
            texts.write_text(other.read_text())

    monkeypatch.setattr(Output, "write", changing)
    with pytest.raises(UnreadableInput, match=r"texts.txt has changed while it was read: annotate it once nothing"):
        run(texts)
    assert not texts.with_name("texts.txt.classify.jsonl").exists()
    with pytest.raises(UnusableOutput, match="begun with input content"):
        run(texts)


def test_a_chunk_is_bounded_by_no_limit_of_a_request(texts):
    """A chunk has more lines than a request may have, and more characters: only its lines are limited."""
    longest = max(map(len, LINES))
    assert run(texts, max_items=10, max_text_characters=longest) == 0
    results = texts.with_name("texts.txt.classify.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in results] == [*range(1, len(LINES) + 1)]
    long = texts.with_name("long.txt")
    long.write_text("Fine. " * 100 + "\n" + "Fine. " * 33_000)  # together more than the limit of 200 000
    assert run(long) == 0
    job = Job([long.rename(long.with_name("again.txt"))], "classify", "jsonl", strict=True)
    with pytest.raises(UnreadableInput, match=f"line 1: longer than {longest} characters"):
        annotate(Settings(batch_sizes=(8,), max_text_characters=longest), job)


def test_a_device_that_is_full_on_standard_output_is_an_error(texts, monkeypatch):
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(full))
        monkeypatch.setattr("service.commands.annotate.standard_output.silence_standard_output", lambda: None)
        with pytest.raises(UnusableOutput, match="standard output cannot be written: No space left"):
            annotate(Settings(batch_sizes=(8,)), Job([texts], "classify", "jsonl", Path("-")))


def test_outputs_and_inputs_that_would_be_written_over_each_other_are_refused(texts, monkeypatch):
    folder = texts.parent
    monkeypatch.chdir(folder)

    def refused(message: str, files: list[Path], output: Path | None = None) -> None:
        with pytest.raises(UnusableOutput, match=message):
            plan(Job(files, "classify", "jsonl", output))

    (folder / "texts.txt.classify.jsonl.partial").write_text("half")
    refused(r"belongs to the output of .*texts.txt: leave it out", sorted(folder.iterdir()))
    (folder / "texts.txt.classify.jsonl.partial").rename(folder / "x.progress")
    refused(r"x.progress belongs to the output", [folder / "x.progress"], Path("x"))
    refused("would have the same output", [texts, Path("texts.txt")])
    (folder / "f").mkdir()
    (folder / "f" / "texts.txt.classify.jsonl").mkdir()
    refused(r"texts.txt.classify.jsonl is there already and is no file", [texts], folder / "f")
    refused(r"/dev/null is there already and is no file", [texts], Path("/dev/null"))
    refused(r"cannot be written: File name too long", [texts], folder / ("o" * 300))
    texts.with_name("texts.txt.classify.jsonl").symlink_to("nowhere")
    assert plan(Job([texts], "classify", "jsonl"))


@pytest.mark.parametrize("seed", range(40))
def test_any_text_killed_anywhere_ends_in_what_an_uninterrupted_run_writes(tmp_path, monkeypatch, seed):
    """Lines of all kinds, cut into chunks of few: blank ones, long ones, ends of all systems, quotes, no end at all."""
    draw = random.Random(seed)
    kinds = [
        "",
        " ",
        "\r",
        "a,b;c",
        '"quoted"',
        "\u2028",
        "\x00",
        "🙂",
        "x" * 50,
        "word " * 40,
        "\ufeff",
        "=1+1",
        "…\t.",
    ]
    ends = ["\n", "\r\n"]
    text = "".join(draw.choice(kinds) * draw.randint(0, 2) + draw.choice(ends) for _ in range(draw.randint(0, 60)))
    text += draw.choice(["", "the end", "\n"])
    monkeypatch.setattr("service.commands.annotate.source.CHUNK_ROWS", draw.choice([1, 3, 7]))
    monkeypatch.setattr("service.commands.annotate.source.CHUNK_CHARACTERS", draw.choice([40, 400]))
    path = tmp_path / "texts"
    form: OutputFormat = draw.choice(["jsonl", "csv"])
    path.write_bytes(text.encode())
    whole = tmp_path / "whole"
    assert annotate(Settings(batch_sizes=(8,)), Job([path], "classify", form, whole)) == 0
    output, job = tmp_path / "out", Job([path], "classify", form, tmp_path / "out")
    for _ in range(4):
        with killed_before(draw.randint(0, 60), monkeypatch):
            annotate(Settings(batch_sizes=(8,)), job)
    for _ in range(2):
        assert annotate(Settings(batch_sizes=(8,)), job) == 0
    assert output.read_bytes() == whole.read_bytes()
    assert files_in(tmp_path) == sorted([path, whole, output])
    texts = text.removeprefix("\ufeff").split("\n")
    lines = [line.removesuffix("\r") for line in (texts if texts[-1] else texts[:-1])]
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(output.read_bytes().decode(), newline="")))
        assert [row["text"] for row in rows] == lines
    else:
        assert [json.loads(row)["line"] for row in output.read_text().splitlines()] == [*range(1, len(lines) + 1)]


def test_the_engine_that_was_started_is_closed_whatever_happens(texts, monkeypatch):
    closed = []

    async def failing(here: AsyncPipelines, *rest: Any) -> AsyncIterator[Any]:
        original = here.resources.engine.close

        async def close() -> None:
            closed.append(True)
            await original()

        here.resources.engine.close = close  # type: ignore[method-assign]
        raise UnusableOutput("no space")
        yield  # as the function in whose place it is

    monkeypatch.setattr(annotator, "annotated", failing)
    with pytest.raises(UnusableOutput):
        run(texts)
    assert closed == [True]

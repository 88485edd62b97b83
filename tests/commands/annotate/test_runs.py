"""Whole runs of `tagwerk annotate`: many files, interruptions, manifests."""

import csv
import gzip
import hashlib
import io
import json
import os
import random
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.commands.annotate.output import Output
from service.commands.annotate.plan import plan
from service.commands.annotate.processes import GROUP, GROUPS_IN_PROGRESS
from service.commands.annotate.records import UnusableOutput, facts
from service.commands.annotate.rows import UnreadableInput
from service.commands.annotate.source import CHUNK_ROWS
from service.settings import Settings
from tests.commands.annotate import conftest
from tests.commands.annotate.conftest import files_in, job, killed_at, objects, output_of, rejected_of, run, write
from tests.fakes import version_of

SECOND_CHUNK = 12  # of the changes of the disk, after the first chunk is kept
LINES = [f"Number {i} is {'very ' * (i % 7)}fine, 🙂 she said." for i in range(3 * CHUNK_ROWS)]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write(tmp_path, "texts.txt", "\n".join(LINES))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Files in two folders, and others that are none of the corpus."""
    folder = tmp_path / "corpus"
    for name in ("a.txt", "b.csv", "more/a.txt", ".hidden", ".git/x.txt", "a.txt.tag.jsonl", "b.txt.tag.csv.partial"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("id,text\n1,Fine.\n" if name.endswith("csv") else "Fine.\nGood.\n")
    return folder


def names(pairs: Any, folder: Path) -> list[str]:
    return sorted(str(target.relative_to(folder)) for _, target in pairs)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_stands_for_its_files_and_the_output_has_the_same_folders(corpus, tmp_path):
    output = tmp_path / "out"
    assert run(corpus, output=output) == 0
    written = ["a.txt.classify.jsonl", "b.csv.classify.jsonl", "more/a.txt.classify.jsonl"]
    assert sorted(str(path.relative_to(output)) for path in output.rglob("*.jsonl")) == written
    assert [row["label"] for row in objects(output / written[2])] == ["good", "good"]
    assert names(plan(job(corpus)), corpus) == written, "beside each file"


def test_a_pattern_stands_for_what_matches_it(corpus, tmp_path):
    pairs = plan(job(corpus / "**" / "*.txt", output=tmp_path / "out"))
    assert names(pairs, tmp_path / "out") == ["a.txt.classify.jsonl", "more/a.txt.classify.jsonl"]
    with pytest.raises(UnreadableInput, match=r"\*\.parquet: no file to annotate"):
        plan(job(corpus / "*.parquet"))
    path = write(corpus, "a[1].txt", "Fine.")
    assert [source.path for source, _ in plan(job(path))] == [path], "a name, no pattern"


def test_each_file_is_in_one_share(corpus, capsys, engine):
    for i in range(30):
        write(corpus, f"{i}.txt", "Fine.")
    every = [str(source) for source, _ in plan(job(corpus))]
    shares = [[str(source) for source, _ in plan(job(corpus, shard=(index, 3)))] for index in range(3)]
    assert sorted(name for share in shares for name in share) == sorted(every)
    assert all(shares)
    write(corpus, "new.txt", "Fine.")
    again = [{str(source) for source, _ in plan(job(corpus, shard=(index, 3)))} for index in range(3)]
    assert all(set(before) <= after for before, after in zip(shares, again, strict=True)), "as more files come"
    assert [run(corpus / "a.txt", shard=(index, 2)) for index in range(2)] == [0, 0]
    assert "no file is in this share" in capsys.readouterr().err
    assert len(engine) == 1


def test_a_file_that_cannot_be_read_is_left_out_among_others(corpus, capsys, engine):
    write(corpus, "broken.csv", "a,b\n1,2\n")
    write(corpus, "book.pdf", b"%PDF-1.7")
    assert run(corpus) == 1
    said = capsys.readouterr().err
    assert f"left out: {corpus}/broken.csv has no column 'text'" in said
    assert f"left out: {corpus}/book.pdf is a document" in said
    assert "left out 2 of 5 files" in said
    assert len(list(corpus.rglob("*.classify.jsonl"))) == 3
    assert len(engine) == 1
    with pytest.raises(UnreadableInput, match="is a document"):
        run(corpus, strict=True)


def test_outputs_and_inputs_that_would_be_written_over_each_other_are_refused(texts, monkeypatch):
    folder = texts.parent
    monkeypatch.chdir(folder)

    def refused(message: str, *files: Path, output: Path | None = None) -> None:
        with pytest.raises(UnusableOutput, match=message):
            plan(job(*files, output=output))

    write(folder, "texts.txt.classify.jsonl.partial", "half")
    refused(r"belongs to the output of .*texts.txt: leave it out", *sorted(folder.iterdir()))
    path = write(folder, "x.rejected.jsonl", "")
    refused(r"x.rejected.jsonl belongs to the output", path, output=Path("x"))
    refused("would have the same output", texts, Path("texts.txt"))
    (folder / "f" / "texts.txt.classify.jsonl").mkdir(parents=True)
    refused(r"texts.txt.classify.jsonl is there already and is no file", texts, output=folder / "f")
    refused(r"/dev/null is there already and is no file", texts, output=Path("/dev/null"))
    refused(r"cannot be written: File name too long", texts, output=folder / ("o" * 300))
    output_of(texts).symlink_to("nowhere")
    assert plan(job(texts))


def test_a_run_goes_on_if_format_and_input_are_the_same_and_is_otherwise_refused_before_anything_is_loaded(
    texts, monkeypatch, engine, capsys
):
    """Otherwise the output would be half of one and half of the other."""
    output, content, moment = texts.with_name("out"), texts.read_text(), texts.stat().st_mtime_ns
    with killed_at(SECOND_CHUNK, monkeypatch):
        run(texts, form="csv", output=output)
    begun = contents(texts.parent)
    assert len(begun[output.with_name("out.partial")]) > 1000
    engine.clear()
    with pytest.raises(UnusableOutput, match=r"out.partial was begun with format csv, not jsonl: .*remove it"):
        run(texts, output=output)
    texts.write_text(content.replace("Number 700", "NUMBER 700"))
    os.utime(texts, ns=(moment, moment))
    with pytest.raises(UnusableOutput, match="begun with input content"):
        run(texts, form="csv", output=output)
    texts.write_text(content)
    os.utime(texts, ns=(0, 0))
    assert contents(texts.parent) == begun
    assert engine == []
    assert run(texts, form="csv", output=output) == 0
    assert "resumes after 256 rows" in capsys.readouterr().err
    rows = list(csv.DictReader(io.StringIO(output.read_bytes().decode(), newline="")))
    assert [row["text"] for row in rows] == LINES


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("task", {"task": "tag"}), ("format", {"form": "csv"}), ("language", {"language": "auto"})),
        *(("text column", {"text_column": "review"}), ("tokenized", {"tokenized": True}), ("prefix", {"prefix": "x"})),
        *(("n best", {"n_best": 2}), ("strict", {"strict": True}), ("encoding", {"encoding": "cp1252"})),
        *(("delimiter", {"delimiter": "|"}), ("limit", {"limit": 2})),
        *(("model", {"version": "2"}), ("model content", {"description": "another"})),  # of the manifest
    ],
)
def test_each_thing_that_decides_the_bytes_is_a_fact(name, change):
    """And nothing that does not: no setting of the service, such as threads or the place of the model store."""
    of_model, usual = name.startswith("model"), facts([version_of("classifier", "classify")], job())
    version = version_of("classifier", "classify", **(change if of_model else {}))
    changed = facts([version], job(**({} if of_model else change)))
    differ = {key for key in usual | changed if usual.get(key) != changed.get(key)}
    assert differ - ({"model content"} if name == "model" else set()) == {name}


@pytest.mark.parametrize("how", ["grows", "is replaced"])
def test_an_input_that_changes_while_it_is_read_is_an_error(texts, monkeypatch, how):
    original, written = Output.write, 0
    monkeypatch.setattr("service.commands.annotate.source.CHUNK_ROWS", len(LINES) // (2 * GROUP * GROUPS_IN_PROGRESS))

    def changing(output: Output, *annotations: Any) -> None:
        nonlocal written
        original(output, *annotations)
        written += 1
        if written == 1 and how == "grows":
            with texts.open("a") as file:
                file.write("\nMore.")
        elif written == 1:
            write(texts.parent, texts.name, "Quite another.\n" * 1000)

    monkeypatch.setattr(Output, "write", changing)
    with pytest.raises(UnreadableInput, match=r"texts.txt has changed while it was read: annotate it once nothing"):
        run(texts)
    assert not output_of(texts).exists()
    with pytest.raises(UnusableOutput, match="begun with input content"):
        run(texts)


def test_a_device_that_is_full_on_standard_output_is_an_error(texts, monkeypatch):
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(full))
        monkeypatch.setattr("service.commands.annotate.output.silence_standard_output", lambda: None)
        with pytest.raises(UnusableOutput, match="standard output cannot be written: No space left"):
            run(texts, output=Path("-"))


def test_a_manifest_says_what_was_made_of_what(tmp_path, capsys, engine):
    path, output = write(tmp_path, "a.txt", "Fine.\nGood.\n"), tmp_path / "out"
    assert run(path, output=output) == 0
    made, content = conftest.manifest_of(output), output.read_bytes()
    assert (made.output, made.output_bytes) == ("out", len(content))
    assert made.output_sha256 == hashlib.sha256(content).hexdigest()
    assert (made.input, made.rows, made.rejected) == (str(path), 2, 0)
    assert made.facts["input content"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert made.facts["model"].startswith("classifier/")
    engine.clear()
    capsys.readouterr()
    for options, said in (
        ({}, "is there already, and stays as it is\n"),
        ({"prefix": "our_"}, "stays as it is, made with no prefix, not our_: remove it to have it made anew"),
    ):
        assert run(path, output=output, **options) == 0
        assert said in "".join(capsys.readouterr())
    assert output.read_bytes() == content
    assert engine == []


@pytest.mark.parametrize("limit", [1, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_a_limit_ends_each_file_early_also_after_an_interruption(tmp_path, monkeypatch, limit):
    path, output = write(tmp_path, "a.txt", "Fine.\n" * (3 * CHUNK_ROWS)), tmp_path / "out"
    with killed_at(SECOND_CHUNK, monkeypatch):
        run(path, output=output, limit=limit)
    assert run(path, output=output, limit=limit) == 0
    assert len(objects(output)) == limit


def test_a_file_whose_name_is_not_utf8_is_annotated(tmp_path, capsysbinary):
    path = write(tmp_path, os.fsdecode(b"caf\xe9.txt"), "Fine.\n")
    for _ in range(2):
        assert run(path) == 0
        assert rb"caf\xe9.txt.classify.jsonl" in capsysbinary.readouterr().err
    assert len(objects(output_of(path))) == 1
    made = conftest.manifest_of(output_of(path))
    assert (made.output, made.input) == (r"caf\xe9.txt.classify.jsonl", rf"{tmp_path}/caf\xe9.txt")


def draw_input(draw: random.Random, kind: str, folder: Path) -> Path:
    """Writes an input of a kind: blank and long texts, line ends of all systems, quotes, bad rows."""
    plain = ["", " ", "\r", "a,b;c", '"quoted"', "\u2028", "\x00", "🙂", "x" * 50, "word " * 40, "\ufeff", "…\t."]
    cells = ["fine", '"fine"', '"never closed', '"two\nlines"', 'a 5" screen', '"one"more', "too,many", '"', '""', ""]
    count, content = draw.randint(1, 60), io.StringIO()
    for i in range(count):
        is_last = i == count - 1  # a good row, since an input of bad ones alone is an error
        text, cell = draw.choice(plain), "fine" if is_last else draw.choice(cells)
        if kind == "text":
            content.write(text * draw.randint(0, 2) + draw.choice(["\n", "\r\n"]))
        elif kind == "csv":
            content.write("id,text\n" * (not i) + f"{i},{cell}\n")
        elif kind == "tsv":
            content.write("text\tid\n" * (not i) + f"{' '.join(text.split())}\t{i}\n")
        elif kind == "jsonl":
            content.write(json.dumps({"text": text, "id": i}) + "\n" if is_last or draw.random() < 0.9 else "no JSON\n")
        else:
            content.write(f"# sent_id = {i}\n{1 if is_last else draw.choice('1112')}\tword\t_\t_\t_\t_\t_\t_\t_\t_\n\n")
    if kind == "parquet":
        table = pa.table({"text": [f"Text {i}." for i in range(count)], "n": range(count)})
        pq.write_table(table, folder / "rows.parquet", row_group_size=7)
        return folder / "rows.parquet"
    encoded = (content.getvalue() + draw.choice(["", "\n"])).encode()
    return write(folder, f"rows.{kind}", gzip.compress(encoded) if draw.random() < 0.3 else encoded)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", ["text", "csv", "tsv", "jsonl", "conllu", "parquet"])
def test_any_input_killed_anywhere_ends_in_what_an_uninterrupted_run_writes(tmp_path, monkeypatch, kind, seed):
    draw = random.Random(seed)
    path, output, whole = draw_input(draw, kind, tmp_path), tmp_path / "out", tmp_path / "whole"
    monkeypatch.setattr("service.commands.annotate.source.CHUNK_ROWS", draw.choice([1, 3, 7]))
    monkeypatch.setattr("service.commands.annotate.source.CHUNK_CHARACTERS", draw.choice([40, 400]))
    task = "tag" if kind == "conllu" else draw.choice(["tag", "classify"])
    form = draw.choice(["jsonl", "csv", "parquet", *["conllu"] * (task == "tag")])
    options = {"task": task, "form": form, "allow_bad_rows": True, "settings": Settings(batch_sizes=(8,))}
    assert run(path, output=whole, **options) == 0
    for _ in range(4):
        with killed_at(draw.randint(0, 80), monkeypatch):
            run(path, output=output, **options)
    for _ in range(2):
        assert run(path, output=output, **options) == 0
    assert output.read_bytes() == whole.read_bytes()
    assert rejected_of(output) == rejected_of(whole)
    one = conftest.manifest_of(output)
    assert msgspec.structs.replace(one, output="whole") == conftest.manifest_of(whole)
    assert len(files_in(tmp_path)) == 3 + 2 * bool(one.rejected)
    if kind == "text" and form == "jsonl":
        assert [row["line"] for row in objects(output)] == [*range(1, one.rows + 1)]
    if form == "parquet":
        assert len(pq.read_table(output)) == one.rows

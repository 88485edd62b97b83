"""Many files, bad rows, and the manifest beside each output."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from service.__main__ import main
from service.commands.annotate import annotator
from service.commands.annotate.command import annotate
from service.commands.annotate.job import Job, plan
from service.commands.annotate.records import Manifest, UnusableOutput, read_manifest
from service.commands.annotate.rows import UnreadableInput
from service.commands.annotate.source import CHUNK_ROWS
from service.settings import Settings
from tests.commands.annotate.test_output import files_in, killed_before
from tests.in_process import use_test_device

SETTINGS = Settings(batch_sizes=(8,), max_text_characters=100)
BAD = {
    "text": (
        b"Fine.\n\xff\xfe\n" + b"x" * 1000 + b"\nGood.\n",
        [(2, "not UTF-8 at byte 1"), (3, "longer than 100")],
        2,
    ),
    "csv": (
        b'id,text\n1,Fine.\n2\n3,"a"b\n4,\xff\n5,Good.\n',
        [(3, "1 cell, and the header has 2"), (4, "expected after"), (5, "not UTF-8")],
        2,
    ),
    "tsv": (b"id\ttext\n1\tFine.\n2\n3\tGood.\n", [(3, "1 cell, and the header has 2")], 2),
    "jsonl": (
        b'{"text": "Fine."}\n{"text"\n[1]\n{"other": "x"}\n{"text": 7}\n{"text": "Good."}\n',
        [(2, "is not a JSON object"), (3, "is not a JSON object"), (4, "no member 'text'"), (5, "'text' is 7")],
        2,
    ),
    "conllu": (
        b"1\tGo\t_\t_\t_\t_\t_\t_\t_\t_\n\n1\tGo\n2\tthere\n\n# a\n\xff\n\n1\tGo\t_\t_\t_\t_\t_\t_\t_\t_\n",
        [(3, "2 columns, not 10"), (7, "not UTF-8")],
        2,
    ),
}


@pytest.fixture(autouse=True)
def engine(monkeypatch) -> list[str]:
    """Has each run use an engine on a test device. Returns a list of the models of each engine that was started."""
    monkeypatch.setattr(annotator, "CHECKPOINT_SECONDS", 0.0)
    return use_test_device(monkeypatch)


def job(*files: Path, **options: Any) -> Job:
    return Job(files, options.pop("task", "classify"), options.pop("form", "jsonl"), **options)


def objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


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


def test_a_folder_stands_for_its_files_and_the_output_has_the_same_folders(corpus, tmp_path):
    output = tmp_path / "out"
    assert annotate(SETTINGS, job(corpus, output=output)) == 0
    written = ["a.txt.classify.jsonl", "b.csv.classify.jsonl", "more/a.txt.classify.jsonl"]
    found = sorted(str(p.relative_to(output)) for p in output.rglob("*.jsonl"))
    assert found == written
    assert [row["label"] for row in objects(output / written[2])] == ["good", "good"]
    assert names(plan(job(corpus)), corpus) == written, "beside each file"


def test_a_pattern_stands_for_what_matches_it(corpus, tmp_path):
    pairs = plan(job(corpus / "**" / "*.txt", output=tmp_path / "out"))
    assert names(pairs, tmp_path / "out") == ["a.txt.classify.jsonl", "more/a.txt.classify.jsonl"]
    with pytest.raises(UnreadableInput, match=r"\*\.parquet: no file to annotate"):
        plan(job(corpus / "*.parquet"))
    (corpus / "a[1].txt").write_text("Fine.")
    assert [source.path for source, _ in plan(job(corpus / "a[1].txt"))] == [corpus / "a[1].txt"], "a name, no pattern"


def test_each_file_is_in_one_share(corpus):
    for i in range(30):
        (corpus / f"{i}.txt").write_text("Fine.")
    every = [str(source) for source, _ in plan(job(corpus))]
    shares = [[str(source) for source, _ in plan(job(corpus, shard=(index, 3)))] for index in range(3)]
    assert sorted(name for share in shares for name in share) == sorted(every)
    assert all(shares)
    (corpus / "new.txt").write_text("Fine.")
    again = [{str(source) for source, _ in plan(job(corpus, shard=(index, 3)))} for index in range(3)]
    assert all(set(before) <= after for before, after in zip(shares, again, strict=True)), "as more files come"


def test_of_many_files_each_is_opened_when_its_turn_comes(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i}.csv").write_text("id,text\n1,Fine.\n" if i else "a,b\n1,2\n")
    monkeypatch.setattr("service.commands.annotate.job.MAX_PREVIEWED_INPUTS", 4)
    assert {source.format for source, _ in plan(job(folder))} == {None}
    assert annotate(SETTINGS, job(folder)) == 1
    assert "1 of 5 files are left out" in capsys.readouterr().err
    with pytest.raises(UnreadableInput, match="has no column"):
        annotate(SETTINGS, job(folder, strict=True))


def test_a_share_may_be_empty(tmp_path, capsys, engine):
    path = tmp_path / "a.txt"
    path.write_text("Fine.")
    for index in range(2):
        assert annotate(SETTINGS, job(path, shard=(index, 2))) == 0
    assert "no file is in this share" in capsys.readouterr().err
    assert len(engine) == 1


@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_are_counted_and_written_to_a_file_of_their_own(tmp_path, capsys, kind):
    content, expected, good = BAD[kind]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    task = "tag" if kind == "conllu" else "classify"
    assert annotate(SETTINGS, job(path, task=task)) == 1
    output = tmp_path / f"a.{kind}.{task}.jsonl"
    assert len(objects(output)) == good
    rejected = objects(output.with_name(f"{output.name}.rejected.jsonl"))
    assert [row["line"] for row in rejected] == [line for line, _ in expected]
    for row, (_, reason) in zip(rejected, expected, strict=True):
        assert reason in row["reason"]
    lines = " (6 lines)" if kind == "conllu" else ""
    assert f"{len(expected)} bad rows{lines} are left out, see {output}.rejected.jsonl" in capsys.readouterr().err
    made = read_manifest(output)
    assert made is not None
    assert (made.rows, made.rejected) == (good, len(expected))
    with pytest.raises(UnreadableInput, match=f"line {expected[0][0]}: .*{expected[0][1]}"):
        annotate(SETTINGS, job(path, task=task, output=tmp_path / "strict", strict=True))


def test_the_content_of_a_bad_row_is_kept(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'id,text\n1,"Fine.\nand ""more""",2\n2,"x\xff"\n3,Good.\n')
    assert annotate(SETTINGS, job(path)) == 1
    rejected = objects(tmp_path / "a.csv.classify.jsonl.rejected.jsonl")
    assert [row["content"] for row in rejected] == ['1,"Fine.\n', 'and ""more""",2\n', '2,"x\\xff"\n']
    path = tmp_path / "b.txt"
    path.write_bytes(b"Fine.\n" + b"x" * 10**6 + b"\nGood.")
    assert annotate(SETTINGS, job(path)) == 1
    (row,) = objects(tmp_path / "b.txt.classify.jsonl.rejected.jsonl")
    assert 100 < len(row["content"]) < 1000
    assert [row["line"] for row in objects(tmp_path / "b.txt.classify.jsonl")] == [1, 3]


def test_an_input_of_nothing_but_bad_rows_is_an_error(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("no JSON\n" * 3)
    with pytest.raises(UnreadableInput, match=r"a.jsonl: all 3 rows are bad, see .*rejected.jsonl"):
        annotate(SETTINGS, job(path))
    assert not (tmp_path / "a.jsonl.classify.jsonl").exists()


@pytest.mark.parametrize("change", range(6, 40, 3))
def test_bad_rows_are_written_once_wherever_a_run_is_killed(tmp_path, monkeypatch, change):
    lines = [b"Fine." if i % 3 else b"\xff" for i in range(4 * CHUNK_ROWS)]
    path, output = tmp_path / "a.txt", tmp_path / "out"
    path.write_bytes(b"\n".join(lines))
    with killed_before(change, monkeypatch):
        annotate(SETTINGS, job(path, output=output))
    assert annotate(SETTINGS, job(path, output=output)) == 1
    assert [row["line"] for row in objects(output)] == [i + 1 for i in range(len(lines)) if i % 3]
    rejected = objects(tmp_path / "out.rejected.jsonl")
    assert [row["line"] for row in rejected] == [i + 1 for i in range(len(lines)) if i % 3 == 0]
    made = read_manifest(output)
    assert made is not None
    assert (made.rows, made.rejected) == (len(objects(output)), len(rejected))
    assert files_in(tmp_path) == [path, output, tmp_path / "out.rejected.jsonl"]


def test_a_manifest_says_what_was_made_of_what(tmp_path):
    path, output = tmp_path / "a.txt", tmp_path / "out"
    path.write_text("Fine.\nGood.\n")
    assert annotate(SETTINGS, job(path, output=output)) == 0
    made = Manifest.model_validate_json((tmp_path / "out.manifest.json").read_bytes())
    assert (made.output, made.output_bytes) == ("out", output.stat().st_size)
    assert made.output_sha256 == hashlib.sha256(output.read_bytes()).hexdigest()
    assert (made.input, made.rows, made.rejected) == (str(path), 2, 0)
    assert made.facts["input content"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert made.facts["model"].startswith("classifier/")


def test_an_output_that_was_made_otherwise_stays_and_is_told(tmp_path, capsys, engine):
    path, output = tmp_path / "a.txt", tmp_path / "out"
    path.write_text("Fine.\n")
    assert annotate(SETTINGS, job(path, output=output)) == 0
    before = output.read_bytes()
    engine.clear()
    capsys.readouterr()
    assert annotate(SETTINGS, job(path, output=output)) == 0
    assert "is there already, and stays as it is\n" in capsys.readouterr().err
    assert annotate(SETTINGS, job(path, output=output, prefix="our_")) == 0
    assert "stays as it is, made with no prefix, not our_: remove it to have it made anew" in capsys.readouterr().err
    assert output.read_bytes() == before
    assert engine == []


def test_a_file_that_cannot_be_read_is_left_out_among_others(corpus, capsys):
    (corpus / "broken.csv").write_text("a,b\n1,2\n")
    (corpus / "book.pdf").write_bytes(b"%PDF-1.7")
    assert annotate(SETTINGS, job(corpus)) == 1
    said = capsys.readouterr().err
    assert f"left out: {corpus}/broken.csv has no column 'text'" in said
    assert f"left out: {corpus}/book.pdf is a PDF document" in said
    assert "2 of 5 files are left out" in said
    assert len(list(corpus.rglob("*.classify.jsonl"))) == 3
    with pytest.raises(UnreadableInput, match="PDF"):
        annotate(SETTINGS, job(corpus, strict=True))


@pytest.mark.parametrize("limit", [1, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_a_limit_ends_each_file_early_also_after_an_interruption(tmp_path, monkeypatch, limit):
    path = tmp_path / "a.txt"
    path.write_text("Fine.\n" * (3 * CHUNK_ROWS))
    limited = job(path, output=tmp_path / "out", limit=limit)
    with killed_before(9, monkeypatch):
        annotate(SETTINGS, limited)
    assert annotate(SETTINGS, limited) == 0
    assert len(objects(tmp_path / "out")) == limit


def test_a_file_whose_name_is_not_utf8_is_annotated(tmp_path, capsysbinary):
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_text("Fine.\n")
    for dry_run in (True, False, True):
        assert annotate(SETTINGS, job(path, dry_run=dry_run)) == 0
        assert rb"caf\xe9.txt.classify.jsonl" in b"".join(capsysbinary.readouterr())
    output = path.with_name(f"{path.name}.classify.jsonl")
    assert len(objects(output)) == 1
    made = read_manifest(output)
    assert made is not None
    assert (made.output, made.input) == (r"caf\xe9.txt.classify.jsonl", rf"{tmp_path}/caf\xe9.txt")


def test_a_dry_run_says_what_would_be_done(corpus, capsys, engine):
    assert annotate(SETTINGS, job(corpus, dry_run=True)) == 0
    said = capsys.readouterr().out
    assert f"{corpus}/b.csv (csv, 0.0 MB) into {corpus}/b.csv.classify.jsonl" in said
    assert "3 files; nothing was written" in said
    assert engine == []
    assert annotate(SETTINGS, job(corpus / "a.txt")) == 0
    assert annotate(SETTINGS, job(corpus, dry_run=True)) == 0
    assert "a.txt.classify.jsonl, which is there already" in capsys.readouterr().out


def test_a_dry_run_refuses_what_the_run_refuses(corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("service.commands.annotate.job.MAX_PREVIEWED_INPUTS", 4)  # also where more are not read before
    (corpus / "broken.csv").write_text("a,b\n1,2\n")
    (corpus / "book.pdf").write_bytes(b"%PDF-1.7")
    for dry_run in (True, False):
        assert annotate(SETTINGS, job(corpus, output=tmp_path / "out", dry_run=dry_run)) == 1
        said = "".join(capsys.readouterr())
        assert f"left out: {corpus}/broken.csv has no column 'text'" in said
        assert f"left out: {corpus}/book.pdf is a PDF document" in said
    path, output = corpus / "b.csv", tmp_path / "begun"
    with killed_before(9, monkeypatch):
        annotate(SETTINGS, job(path, output=output))
    assert output.with_name("begun.progress").exists()
    for dry_run in (True, False):
        with pytest.raises(UnusableOutput, match=r"begun.partial was begun with no text column, not id"):
            annotate(SETTINGS, job(path, output=output, text_column="id", dry_run=dry_run))
        with pytest.raises(UnusableOutput, match=r"b\.csv"):
            annotate(SETTINGS, job(path, output=path / "new" / "out", dry_run=dry_run))
    assert annotate(SETTINGS, job(path, output=output, dry_run=True)) == 0
    assert "which was begun" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "0"], "--limit is at least 1"),
        (["--shard", "2/2"], "--shard is I/N, I from 0 to N - 1"),
        (["--shard", "x"], "--shard is I/N"),
        (["--shard", "0/0"], "--shard is I/N"),
        (["--actors", "0-2"], "--actors is MIN-MAX"),
        (["--actors", "3-2"], "--actors is MIN-MAX"),
        (["--resources", "tpu=1"], "--resources is cpu=N or cpu=N,gpu=N"),
        (["--ray", "corpus/"], "--ray corpus/ is no address of a cluster, HOST:PORT or auto; name files before"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(["annotate", "x", "--task", "tag", *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--ray"], ["-", "--ray"], ["a.txt", "--output", "-", "--ray"]])
def test_a_cluster_needs_files(arguments, capsys):
    with pytest.raises(SystemExit):
        main(["annotate", "--task", "tag", *arguments])
    assert "--ray needs files" in capsys.readouterr().err

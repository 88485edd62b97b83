"""What `tagwerk annotate` makes of each format of input, on a test device that gives all texts one result."""

import argparse
import csv
import gzip
import io
import json
import os
import random
import re
import threading
from pathlib import Path
from typing import Any

import conllu
import pytest

from service.__main__ import main
from service.commands.annotate import annotator
from service.commands.annotate.arguments import add_arguments
from service.commands.annotate.command import annotate
from service.commands.annotate.forms import OutputFormat
from service.commands.annotate.job import Job
from service.commands.annotate.records import UnusableOutput
from service.commands.annotate.rows import InputOptions, Position, UnreadableInput
from service.commands.annotate.source import Source
from service.errors import ArtifactError
from service.settings import Settings
from tests.commands.annotate.test_output import files_in, killed_before
from tests.conftest import ROOT
from tests.http import scene
from tests.in_process import use_test_device

REVIEWS = 'id,text,stars\r\n1,"Fine, ""really"".",5\r\n2,"Two\r\nlines.",4\r\n3,,3\r\n\r\n4,Good 🙂,2'
SCORES = {"bad": 0.25, "good": 0.75}
CONLLU = """# newdoc id = letters
# sent_id = a
# text = Du bateau, didn't
1-2\tDu\t_\t_\t_\t_\t_\t_\t_\t_
1\tDe\tde\tADP\t_\t_\t3\tcase\t_\t_
2\tle\tle\tDET\t_\t_\t3\tdet\t_\t_
3\tbateau\tbateau\tNOUN\t_\tGender=Masc\t0\troot\t_\tSpaceAfter=No
3.1\tnode\t_\t_\t_\t_\t_\t_\t0:root\t_
4\t10 000\t_\t_\t_\t_\t_\t_\t_\t_


# a comment alone
1\tGo\t_\t_\t_\t_\t_\t_\t_\t_
"""


@pytest.fixture(autouse=True)
def loaded(monkeypatch) -> list[str]:
    monkeypatch.setattr(annotator, "CHECKPOINT_SECONDS", 0.0)
    return use_test_device(monkeypatch)


def run(path: Path, task: str = "classify", form: OutputFormat = "jsonl", **job: Any) -> bytes:
    """Annotates a file; returns the output."""
    assert annotate(Settings(batch_sizes=(8,)), Job([path], task, form, **job)) == 0
    return path.with_name(f"{path.name}.{task}.{form}").read_bytes()


def objects(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.decode().splitlines()]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_table_gets_the_label_and_scores_behind_its_columns(tmp_path):
    content = run(write(tmp_path, "reviews.csv", REVIEWS), form="csv").decode()
    assert content == (
        "id,text,stars,label,bad,good\r\n"
        '1,"Fine, ""really"".",5,good,0.25,0.75\r\n'
        '2,"Two\r\nlines.",4,good,0.25,0.75\r\n'
        "3,,3,,,\r\n"
        "\r\n"
        "4,Good 🙂,2,good,0.25,0.75\r\n"
    )


def test_a_table_as_json_keeps_its_columns_and_the_number_of_the_line_that_a_row_begins_in(tmp_path):
    rows = objects(run(write(tmp_path, "reviews.csv", REVIEWS)))
    judged = {"label": "good", "scores": SCORES}
    assert rows == [
        {"line": 2, "id": "1", "text": 'Fine, "really".', "stars": "5", **judged},
        {"line": 3, "id": "2", "text": "Two\r\nlines.", "stars": "4", **judged},
        {"line": 5, "id": "3", "text": "", "stars": "3", "label": None, "scores": None},
        {"line": 6, "label": None, "scores": None},
        {"line": 7, "id": "4", "text": "Good 🙂", "stars": "2", **judged},
    ]


def test_the_texts_of_a_table_are_tagged(tmp_path):
    path = write(tmp_path, "reviews.csv", REVIEWS)
    rows = objects(run(path, "tag"))
    assert [(row["line"], len(row["sentences"])) for row in rows] == [(2, 1), (3, 1), (5, 0), (6, 0), (7, 1)]
    assert rows[4]["sentences"][0]["tokens"][1]["text"] == "🙂"
    tokens = list(csv.DictReader(io.StringIO(run(path, "tag", "csv").decode(), newline="")))
    assert {token["line"] for token in tokens} == {"2", "3", "7"}
    sentences = conllu.parse(run(path, "tag", "conllu").decode())
    assert [sentence.metadata["sent_id"] for sentence in sentences] == ["2-1", "3-1", "7-1"]
    assert "generator" in sentences[0].metadata


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", "id;text\n1;a,b\n", "csv"),
        ("a.csv", "id\ttext\n1\ta,b\n", "csv"),
        ("a.csv", '\ufeffid,"text"\n1,"a,b"\n', "csv"),
        ("a.tsv", "id\ttext\n1\ta,b\n", "tsv"),
        ("a.TAB", "id\ttext\n1\ta,b\n", "tsv"),
        ("a.csv.gz", 'id,text\n1,"a,b"\n', "csv"),
        ("a", 'id,text\n1,"a,b"\n', "csv"),
        ("a.txt", "id\ttext\n1\ta,b\n", "tsv"),
        ("a.jsonl", '{"id": "1", "text": "a,b"}\n', "jsonl"),
        ("a.ndjson.GZ", '{"id": "1", "text": "a,b"}\n', "jsonl"),
        ("a.json", '{"id": "1", "text": "a,b"}\n', "jsonl"),
        ("a", ' {"id": "1", "text" : "a,b"}\r\n', "jsonl"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_format_is_known_by_name_and_by_content(tmp_path, name, content, kind, compressed):
    path = write(tmp_path, name, gzip.compress(content.encode()) if compressed else content)
    source = Source(path, InputOptions("classify"))
    source.look()
    assert (source.format, source.size) == (kind, None if compressed else path.stat().st_size)
    ((row,),) = [chunk.rows for chunk in source.chunks(Position(), 100)]
    assert row.text == "a,b"
    assert list(row.cells) == ["1", "a,b"] or json.loads(b"{%b}" % row.members)["id"] == "1"


@pytest.mark.parametrize(
    "content",
    [
        "text\nmore",
        "Image, text, and sound.",
        "ORC or PAR1, GIF8",
        "PAR1, a text",
        "{braces}",
        '{"a": 1}',
        "[1] says",
        "",
        '"quoted',
    ],
)
def test_other_texts_are_lines(tmp_path, content):
    rows = objects(run(write(tmp_path, "notes", content)))
    assert [row.keys() for row in rows] == [{"line", "label", "scores"}] * len(content.splitlines())


def test_quotes_in_tab_separated_values_have_no_meaning(tmp_path):
    rows = objects(run(write(tmp_path, "a.tsv", 'text\tid\n"Quoted" she said\t1\n"open\t2\n')))
    assert [row["text"] for row in rows] == ['"Quoted" she said', '"open']


def test_objects_keep_their_members_as_they_are_encoded(tmp_path):
    lines = (
        '{"id": 10000000000000000000000.50, "review" : "Fine.", "x": {"y": [1e0, null]} }',
        "",
        '{"review": null}',
        '{"line": "seven", "review": "\\ud83d\\ude42"}',
        '{"review": "  "}',
    )
    content = run(write(tmp_path, "a.jsonl", "\n".join(lines)), text_column="review").decode()
    judged, blank = '"label":"good","scores":{"bad":0.25,"good":0.75}}', '"label":null,"scores":null}'
    assert content.splitlines() == [
        f'{{"line":1,"id": 10000000000000000000000.50, "review" : "Fine.", "x": {{"y": [1e0, null]}},{judged}',
        f'{{"line":2,{blank}',
        f'{{"line":3,"review": null,{blank}',
        f'{{"line": "seven", "review": "\\ud83d\\ude42",{judged}',
        f'{{"line":5,"review": "  ",{blank}',
    ]


def test_what_is_annotated_can_be_annotated_again(tmp_path):
    run(write(tmp_path, "a.jsonl", '{"text": "Fine."}\n\n{"text": "Go."}\n'))
    path = tmp_path / "a.jsonl.classify.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[::2]))
    rows = objects(run(path, "tag"))
    assert [(row["line"], row["text"], row["label"], len(row["sentences"])) for row in rows] == [
        (1, "Fine.", "good", 1),
        (3, "Go.", "good", 1),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "id,body\n1,x\n",
            r"a.csv has no column 'text': name the one .* with --text-column; there are: id, body",
        ),
        ("a.csv", "", "a.csv has no column 'text': .*; there are: none"),
        ("a.tsv", "id;text\n", "a.tsv has no column 'text'.*there are: id;text"),
        ("a.csv", "text,text\n", "a.csv has several columns 'text'"),
        ("a.csv", "text,label\n", "a.csv has a column 'label', as the result has: .* --prefix predicted_"),
        ("a.csv", 'text,n\n"a\nb",1\nfine\n', "a.csv, line 4: 1 cell, and the header has 2"),
        ("a.csv", 'text,n\n"never\nclosed,1\n', r"a.csv, line 2: .*: put cells with .* in double quotes"),
        ("a.csv", 'text,n\n"a"b,1\n', r"a.csv, line 2: .*expected after"),
        ("a.csv", b"text,n\nna\xefve,1\n", "a.csv, line 2: not UTF-8 at byte 3: name its encoding with --encoding"),
        ("a.tsv", "text\tn\na\tb\tc\n", "a.tsv, line 2: 3 cells, and the header has 2: .*--input-format csv"),
        ("a.jsonl", '{"text": "a"}\n{"body": "a"}\n', "a.jsonl, line 2: no member 'text': .*; there are: body"),
        ("a.jsonl", "{}\n", "a.jsonl, line 1: no member 'text': .*; there are: none"),
        ("a.jsonl", '{"text": 7}\n', "a.jsonl, line 1: 'text' is 7, not a string"),
        ("a.jsonl", '{"text": ["a"]}\n', r"'text' is \[\"a\"\], not a string"),
        ("a.jsonl", "[1]\n", r"a.jsonl, line 1: is not a JSON object: .*jq -c '\.\[\]'"),
        ("a.json", '[{"text": "a"},\n', r"a.json, line 1: is not a JSON object: .*jq -c '\.\[\]'"),
        ("a", '[{"text": "a"}]\n', r"a, line 1: is not a JSON object: .*jq -c '\.\[\]'"),
        (
            "a.json",
            '{\n"text": "a"}\n',
            r"a.json, line 1: is not a JSON object: .*one object in each line, as jq -c \. does",
        ),
        ("a.jsonl", '{"text": "a", "x": NaN}\n', "line 1: is not a JSON object"),
        ("a.jsonl", '{"text": "a", "scores": 1}\n', "a.jsonl, line 1: has a member 'scores', as the result has"),
        ("a.jsonl", '{"text": "\\ud800"}\n', "line 1: is not a JSON object"),
        ("a.jsonl", '{"text": ' + "[" * 100_000 + "\n", "line 1: is not a JSON object"),
        ("a.conllu", "1\tGo\n", "a.conllu is CoNLL-U, which is for --task tag"),
        ("a.gz", gzip.compress(b"Fine.\n")[:-4], "a.gz cannot be decompressed"),
        ("a.gz", b"\x1f\x8bnothing", "a.gz cannot be decompressed"),
        ("a.txt", "x" * 101, "a.txt, line 1: longer than 100 characters: cut it, or set TAGWERK_MAX_TEXT_CHARACTERS"),
        ("a.csv", f"text,n\n{'x' * 101},1\n", "a.csv, line 2: the text is longer than 100 characters: cut it, or"),
        ("a.jsonl", f'{{"text": "{"x" * 101}"}}\n', "a.jsonl, line 1: the text is longer than 100 characters"),
        ("a.pdf", b"%PDF-1.7\n", "a.pdf is a PDF document: extract its text first, with pdftotext"),
        ("a.txt", b"%PDF-1.7\n", "a.txt is a PDF document"),
        ("a.zip", b"PK\x03\x04\n", "a.zip is a zip archive: unpack it first"),
        ("a.xlsx", b"PK\x03\x04....xl/workbook.xml", "a.xlsx is a spreadsheet: save it as CSV in UTF-8"),
        ("a.csv", b"PK\x03\x04....xl/workbook.xml", "a.csv is a spreadsheet"),
        ("a.docx", b"PK\x03\x04....word/document.xml", "a.docx is a text document: save it as plain text"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1", "a.xls is a document of Microsoft Office: save it as CSV"),
        ("a.png", b"\x89PNG\r\n", "a.png is an image: extract its text"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "a.jpg is an image"),
        ("a.webp", b"RIFF....WEBPVP8", "a.webp is an image"),
        ("a.txt", "text".encode("utf-16"), "a.txt is in UTF-16 or UTF-32: convert it to UTF-8, with iconv -f UTF-16"),
        ("a.txt", "A text.".encode("utf-16-le"), "a.txt is in UTF-16"),
        ("a.txt", "A text.".encode("utf-16-be"), "a.txt is in UTF-16"),
        ("a.txt.bz2", b"BZh91AY&SY", "a.txt.bz2 is compressed with bzip2: decompress it"),
        ("a.tar.gz", gzip.compress(b"a".ljust(257, b"\0") + b"ustar\0"), "a.tar.gz is a tar archive: unpack it"),
    ],
)
def test_what_cannot_be_read_is_refused_with_advice_and_leaves_nothing(tmp_path, name, content, message):
    path = write(tmp_path, name, content)
    output = tmp_path / "new" / "folder" / "out"
    with pytest.raises(UnreadableInput, match=message):
        annotate(
            Settings(batch_sizes=(8,), max_text_characters=100), Job([path], "classify", "jsonl", output, strict=True)
        )
    assert list(tmp_path.iterdir()) == [path]


def test_a_column_that_is_named_for_plain_text_is_an_error(tmp_path):
    with pytest.raises(UnreadableInput, match=r"has no column 'review', since it is plain text: .* --input-format"):
        run(write(tmp_path, "a.txt", "Fine.\n"), text_column="review")


def test_the_format_of_the_options_comes_first(tmp_path):
    path = write(tmp_path, "a.csv", "id,text\n1,x\n")
    assert [row["line"] for row in objects(run(path, input_format="text"))] == [1, 2]
    (row,) = objects(run(write(tmp_path, "b.txt", "id;body\n1;x\n"), input_format="csv", text_column="body"))
    assert row["body"] == "x"


def test_names_that_the_result_has_too_get_a_prefix(tmp_path):
    path = write(tmp_path, "a.csv", "text,label,good\nFine.,x,y\n")
    assert run(path, form="csv", prefix="predicted_").decode().splitlines() == [
        "text,label,good,predicted_label,predicted_bad,predicted_good",
        "Fine.,x,y,good,0.25,0.75",
    ]
    (row,) = objects(run(path, prefix="predicted_"))
    assert (row["label"], row["predicted_label"], row["predicted_scores"]) == ("x", "good", SCORES)
    (row,) = objects(run(path, "tag", prefix="our_"))
    assert row["our_sentences"]
    with pytest.raises(UnreadableInput, match="has a column 'good'"):
        run(write(tmp_path, "b.csv", "text,good\nFine.,y\n"), form="csv")
    path = write(tmp_path, "c.jsonl", '{"text": "Fine.", "label": "x"}')
    assert run(path, form="csv").decode().splitlines() == ["line,label,bad,good,text", "1,good,0.25,0.75,Fine."]


def test_labels_negative_and_positive_give_a_score(tmp_path, monkeypatch):
    monkeypatch.setattr(scene, "LABELS", ("negative", "positive"))
    path = write(tmp_path, "a.csv", "id,text\n1,Fine.\n2,\n")
    assert run(path, form="csv").decode().splitlines() == [
        "id,text,label,negative,positive,score",
        "1,Fine.,positive,0.25,0.75,0.5",
        "2,,,,,",
    ]
    first, second = objects(run(path))
    assert (first["score"], second["score"]) == (0.5, None)
    path = write(tmp_path, "b.csv", "text,score\nFine.,5\n")
    for form in ("csv", "jsonl"):
        with pytest.raises(UnreadableInput, match=r"has a column 'score', as the result has: .* --prefix"):
            run(path, form=form)
    (row,) = objects(run(path, prefix="our_"))
    assert (row["score"], row["our_score"]) == ("5", 0.5)


def test_a_table_without_rows_gives_a_header(tmp_path):
    assert run(write(tmp_path, "a.csv", "id,text\n"), form="csv") == b"id,text,label,bad,good\r\n"


def test_blank_lines_stay_blank(tmp_path):
    path = write(tmp_path, "a.txt", "\nFine.\n \n\u3000\n\n")
    blank = {"label": None, "scores": None}
    assert [{key: row[key] for key in blank} == blank for row in objects(run(path))] == [True, False, True, True, True]
    rows = list(csv.reader(io.StringIO(run(path, form="csv").decode(), newline="")))
    assert rows[1:3] == [["1", "", "", "", ""], ["2", "good", "0.25", "0.75", "Fine."]]
    assert len(rows) == 6
    for tokenized in (False, True):
        tagged = objects(run(path, "tag", tokenized=tokenized))
        assert [len(row["sentences"]) for row in tagged] == [0, 1, 0, 0, 0]
        path = path.rename(tmp_path / "b.txt")
    path = write(tmp_path, "blank.txt", "\n" * 600)
    assert [row["line"] for row in objects(run(path))] == [*range(1, 601)]
    assert len(run(path, form="csv").splitlines()) == 601


def test_tokenized_lines_are_tagged_as_they_are(tmp_path):
    path = write(tmp_path, "a.txt", "do n't  stop.\n\nGo !\n")
    rows = objects(run(path, "tag", tokenized=True))
    assert [[token["text"] for token in row["sentences"][0]["tokens"]] for row in (rows[0], rows[2])] == [
        ["do", "n't", "stop."],
        ["Go", "!"],
    ]
    assert rows[0]["sentences"][0]["text"] == "do n't stop."
    sentences = conllu.parse(run(path, "tag", "conllu", tokenized=True).decode())
    assert [sentence.metadata["sent_id"] for sentence in sentences] == ["1-1", "3-1"]
    path = write(tmp_path, "a.jsonl", '{"words": ["a b", "c"]}\n{"words": "d e"}\n{"words": []}\n')
    rows = objects(run(path, "tag", tokenized=True, text_column="words"))
    assert [[t["text"] for s in row["sentences"] for t in s["tokens"]] for row in rows] == [
        ["a b", "c"],
        ["d", "e"],
        [],
    ]


@pytest.mark.parametrize("lemmas", [True, False])
def test_sentences_of_conllu_keep_all_but_their_tags_and_lemmas_where_the_model_gives_them(
    tmp_path, monkeypatch, lemmas
):
    use_test_device(monkeypatch, lemmas=lemmas)
    path = write(tmp_path, "a.conllu", CONLLU)
    given = iter(["DE", "le", "bateau", "10 000", "GO"])  # by the rules of the test device
    first, *lines = run(path, "tag", "conllu").decode().splitlines()
    assert first.startswith("# generator = tagwerk")
    expected = [*CONLLU.replace("\n\n\n", "\n\n").splitlines(), ""]
    for line, before in zip(lines, expected, strict=True):
        cells = before.split("\t")
        if cells[0].isdigit():
            cells[3:6] = ["NOUN", "NN", "_"]
            cells[2] = next(given) if lemmas else cells[2]
        assert line == "\t".join(cells)
    assert run(path.rename(tmp_path / "b.conllu"), "tag", "conllu").count(b"# generator") == 1


def test_sentences_of_conllu_in_other_formats(tmp_path):
    path = write(tmp_path, "a.conllu", CONLLU)
    first, second = objects(run(path, "tag"))
    assert (first["line"], first["newdoc_id"], first["sent_id"]) == (1, "letters", "a")
    assert [token["text"] for token in first["sentences"][0]["tokens"]] == ["De", "le", "bateau", "10 000"]
    assert (second["line"], "sent_id" in second) == (12, False)
    rows = list(csv.DictReader(io.StringIO(run(path, "tag", "csv").decode(), newline="")))
    assert [(row["line"], row["token"], row["text"]) for row in rows][3:] == [("1", "4", "10 000"), ("12", "1", "Go")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\tGo\n", r"a.conllu, line 1: 2 columns, not 10, separated by tabs: ID FORM"),
        (CONLLU.replace("2\tle", "3\tle"), r"a.conllu, line 6: the ID '3', not 2: words are numbered from 1"),
        (CONLLU.replace("\tbateau\tbateau", "\t \tbateau"), "a.conllu, line 7: FORM is empty"),
    ],
)
def test_invalid_conllu_is_an_error(tmp_path, content, message):
    with pytest.raises(UnreadableInput, match=message):
        run(write(tmp_path, "a.conllu", content), "tag", strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.conllu"]


def test_the_most_probable_tags(tmp_path):
    (row,) = objects(run(write(tmp_path, "a.txt", "Go"), "tag", n_best=2))
    (token,) = row["sentences"][0]["tokens"]
    assert token["n_best"]["upos"] == [{"tag": "NOUN", "probability": 0.75}, {"tag": "VERB", "probability": 0.25}]


def test_a_pipe_may_be_compressed_and_has_a_format_by_its_content(tmp_path):
    for i, content in enumerate((b"id,text\n1,Fine.\n", gzip.compress(b"id,text\n1,Fine.\n"))):
        path, output = tmp_path / f"pipe{i}", tmp_path / f"out{i}"
        os.mkfifo(path)
        writer = threading.Thread(target=path.write_bytes, args=(content,))
        writer.start()
        assert annotate(Settings(batch_sizes=(8,)), Job([path], "classify", "csv", output)) == 0
        writer.join()
        assert output.read_bytes() == b"id,text,label,bad,good\r\n1,Fine.,good,0.25,0.75\r\n"


def test_missing_folders_of_the_output_are_created(tmp_path):
    one, two = write(tmp_path, "1.txt", "Fine."), write(tmp_path, "2.txt", "Fine.")
    settings = Settings(batch_sizes=(8,))
    assert annotate(settings, Job([one], "classify", "jsonl", tmp_path / "a" / "b" / "out.jsonl")) == 0
    assert (tmp_path / "a" / "b" / "out.jsonl").is_file()
    assert annotate(settings, Job([one], "classify", "jsonl", tmp_path / "c" / "d", output_is_folder=True)) == 0
    assert (tmp_path / "c" / "d" / "1.txt.classify.jsonl").is_file()
    assert annotate(settings, Job([one, two], "classify", "jsonl", tmp_path / "e" / "f")) == 0
    assert len(files_in(tmp_path / "e" / "f")) == 2
    with pytest.raises(UnusableOutput, match=r"1.txt/g cannot be created: Not a directory|File exists"):
        annotate(settings, Job([one], "classify", "jsonl", one / "g" / "out"))


def test_an_engine_that_does_not_start_leaves_nothing(tmp_path, monkeypatch):
    def failing(*arguments: object, **options: object) -> None:
        raise ArtifactError("broken")

    path = write(tmp_path, "a.txt", "Fine.")
    monkeypatch.setattr("service.engine.tensorflow_engine.make_engine", failing)
    with pytest.raises(ArtifactError):
        annotate(Settings(batch_sizes=(8,)), Job([path], "classify", "jsonl", tmp_path / "new" / "out"))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("seed", range(12))
def test_rows_killed_anywhere_end_in_what_an_uninterrupted_run_writes(tmp_path, monkeypatch, seed):
    draw = random.Random(seed)
    cells = ["", " ", "a,b", 'say "a"', "two\nlines", "two\r\nlines", "🙂", "x" * 50, "\ttab"]
    kind = draw.choice(["csv", "tsv", "jsonl", "conllu"])
    content = io.StringIO()
    for i in range(count := draw.randint(1, 40)):
        text = draw.choice(cells)
        if kind == "csv":
            csv.writer(content).writerows([["id", "text"]] * (not i) + [[i, text]])
        elif kind == "tsv":
            content.write("text\tid\n" * (not i) + f"{' '.join(text.split())}\t{i}\n")
        elif kind == "jsonl":
            content.write(json.dumps({"text": text, "id": i}) + "\n")
        else:
            content.write(f"# sent_id = {i}\n1\t{text.strip() and 'word'}x\t_\t_\t_\t_\t_\t_\t_\t_\n\n")
    monkeypatch.setattr("service.commands.annotate.source.CHUNK_ROWS", draw.choice([1, 3, 7]))
    compressed = draw.choice([True, False])
    encoded = content.getvalue().encode()
    path = write(tmp_path, f"rows.{kind}", gzip.compress(encoded) if compressed else encoded)
    task = "tag" if kind == "conllu" else draw.choice(["tag", "classify"])
    form: OutputFormat = draw.choice(["jsonl", "csv", "conllu"] if task == "tag" else ["jsonl", "csv"])
    settings, output, whole = Settings(batch_sizes=(8,)), tmp_path / "out", tmp_path / "whole"
    assert annotate(settings, Job([path], task, form, whole)) == 0
    for _ in range(4):
        with killed_before(draw.randint(0, 60), monkeypatch):
            annotate(settings, Job([path], task, form, output))
    for _ in range(2):
        assert annotate(settings, Job([path], task, form, output)) == 0
    assert output.read_bytes() == whole.read_bytes()
    assert files_in(tmp_path) == sorted([path, whole, output])
    if form == "jsonl":
        assert len(objects(whole.read_bytes())) == count


def test_the_command_line_has_these_options(tmp_path, monkeypatch):
    monkeypatch.setenv("TAGWERK_BATCH_SIZES", "8")
    path, folder = write(tmp_path, "a.txt", "n;review\n1;Fine. Go.\n"), tmp_path / "new"
    common = ["annotate", str(path), "--input-format", "csv", "--text-column", "review", "--prefix", "p_"]
    assert main([*common, "--task", "classify", "--format", "csv", "--output", f"{folder}/"]) == 0
    assert (folder / "a.txt.classify.csv").read_text().splitlines()[0] == "n;review;p_label;p_bad;p_good"
    assert main([*common, "--task", "tag", "--tokenized", "--n-best", "2", "--output", f"{folder}/"]) == 0
    (row,) = objects((folder / "a.txt.tag.jsonl").read_bytes())
    assert [token["text"] for token in row["p_sentences"][0]["tokens"]] == ["Fine.", "Go."]
    assert len(row["p_sentences"][0]["tokens"][0]["n_best"]["upos"]) == 2


def test_the_documentation_lists_every_option():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = {name for action in parser._actions for name in action.option_strings} - {"-h", "--help"}
    section = (ROOT / "docs" / "operations.md").read_text().partition("\n## Files\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(--[\w-]+)", section, re.MULTILINE)) == options

"""What `tagwerk annotate` makes of each format of input."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import threading
from typing import Any

import conllu
import pytest

from service.commands.annotate.rows import Position, UnreadableInput
from service.commands.annotate.source import CHUNK_ROWS, Source
from service.pipelines.formats import to_json
from service.settings import Settings
from tests.commands.annotate.conftest import SCORES, content_of, job, objects, output_of, rejected_of, run, write
from tests.http import scene
from tests.in_process import use_test_device

REVIEWS = 'id,text,stars\r\n1,"Fine, ""really"".",5\r\n2,"Two\r\nlines.",4\r\n3,,3\r\n\r\n4,Good 🙂,2'
JUDGED: dict[str, Any] = {"label": "good", "scores": SCORES}
BLANK: dict[str, Any] = {"label": None, "scores": None}
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


def table(content: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content, newline="")))


def words(row: dict[str, Any]) -> list[str]:
    return [token["text"] for sentence in row["sentences"] for token in sentence["tokens"]]


def test_a_table_gets_the_label_and_scores_behind_its_columns(tmp_path):
    assert content_of(write(tmp_path, "reviews.csv", REVIEWS), form="csv") == (
        "id,text,stars,label,bad,good\r\n"
        '1,"Fine, ""really"".",5,good,0.25,0.75\r\n'
        '2,"Two\r\nlines.",4,good,0.25,0.75\r\n'
        "3,,3,,,\r\n"
        "\r\n"
        "4,Good 🙂,2,good,0.25,0.75\r\n"
    )
    assert content_of(write(tmp_path, "empty.csv", "id,text\n"), form="csv") == "id,text,label,bad,good\r\n"
    unnamed = content_of(write(tmp_path, "unnamed.csv", "id,text,,\n1,Fine.,a,b\n"), form="csv")
    assert unnamed == "id,text,,,label,bad,good\r\n1,Fine.,a,b,good,0.25,0.75\r\n"


def test_a_table_as_json_keeps_its_columns_and_the_number_of_the_line_that_a_row_begins_in(tmp_path):
    assert objects(content_of(write(tmp_path, "reviews.csv", REVIEWS))) == [
        {"line": 2, "id": "1", "text": 'Fine, "really".', "stars": "5", **JUDGED},
        {"line": 3, "id": "2", "text": "Two\r\nlines.", "stars": "4", **JUDGED},
        {"line": 5, "id": "3", "text": "", "stars": "3", **BLANK},
        {"line": 6, **BLANK},
        {"line": 7, "id": "4", "text": "Good 🙂", "stars": "2", **JUDGED},
    ]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", "sep=;\nid;text\n1;a,b\n", "csv"),
        ("a.csv", "\ufeffSEP=|\r\nid|text\r\n1|a,b\r\n", "csv"),
        ("a.csv", '\ufeffid,"text"\n1,"a,b"\n', "csv"),
        ("a.tsv", "id\ttext\n1\ta,b\n", "tsv"),
        ("a.TAB", "id\ttext\n1\ta,b\n", "tsv"),
        ("a.csv.gz", 'id,text\n1,"a,b"\n', "csv"),
        ("a", 'id,text\n1,"a,b"\n', "csv"),
        ("a", "sep=|\nid|text\n1|a,b\n", "csv"),
        ("a.txt", "id\ttext\n1\ta,b\n", "tsv"),
        ("a.jsonl", '{"id": "1", "text": "a,b"}\n', "jsonl"),
        ("a.ndjson.GZ", '{"id": "1", "text": "a,b"}\n', "jsonl"),
        ("a.json", '{"id": "1", "text": "a,b"}\n', "jsonl"),
        ("a", ' {"id": "1", "text" : "a,b"}\r\n', "jsonl"),
    ],
)
@pytest.mark.parametrize("compressed", [None, gzip.compress, bz2.compress, lzma.compress])
def test_a_format_is_known_by_name_and_by_content(tmp_path, name, content, kind, compressed):
    path = write(tmp_path, name, compressed(content.encode()) if compressed else content)
    with Source(path, job()) as source:
        assert (source.format, source.size) == (kind, None if compressed else path.stat().st_size)
        ((row,),) = [chunk.rows for chunk in source.chunks(Position())]
    assert row.text == "a,b"
    assert to_json(row.kept["id"]) == b'"1"'


@pytest.mark.parametrize(
    "content",
    [
        *("text\nmore", "Image, text, and sound.", "ORC or PAR1, GIF8", "PAR1, a text", "{braces}", '{"a": 1}'),
        *("[1] says", "", '"quoted'),
    ],
)
def test_other_texts_are_lines(tmp_path, content):
    rows = objects(content_of(write(tmp_path, "notes", content)))
    assert [row.keys() for row in rows] == [{"line", "label", "scores"}] * len(content.splitlines())


def test_objects_keep_their_members_as_they_are_encoded(tmp_path):
    content = (
        '{"id": 10000000000000000000000.50, "review" : "Fine.", "x": {"y": [1e0, null]} }\n\n{"review": null}\n'
        '{"line": "seven", "review": "\\ud83d\\ude42"}\n{"review": "  "}'
    )
    judged, blank = '"label":"good","scores":{"bad":0.25,"good":0.75}}', '"label":null,"scores":null}'
    assert content_of(write(tmp_path, "a.jsonl", content), text_column="review").splitlines() == [
        f'{{"line":1,"id":10000000000000000000000.50,"review":"Fine.","x":{{"y": [1e0, null]}},{judged}',
        f'{{"line":2,{blank}',
        f'{{"line":3,"review":null,{blank}',
        f'{{"line":"seven","review":"\\ud83d\\ude42",{judged}',
        f'{{"line":5,"review":"  ",{blank}',
    ]


LONG = "x" * 101
BINARY = "is a document, an image, an archive or a table in a binary format: extract its text"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,body\n1,x\n", "has no column 'text': name the one .* with --text-column; there are: id, body"),
        ("a.csv", "", "has no column 'text': .*; there are: none"),
        ("a.tsv", "id;text\n", "has no column 'text'.*there are: id;text"),
        ("a.csv", "text,text\n", "has several columns 'text'"),
        ("a.csv", "text,label\na,b\n", "has a column or member 'label', as the result has: .* --prefix predicted_"),
        ("a.csv", 'text,n\n"a\nb",1\nfine\n', "line 4: 1 cell, and the header has 2"),
        ("a.csv", 'text,n\n"never\nclosed,1\n', r"line 2: .*: put cells with .* in double quotes"),
        ("a.tsv", "text\tn\na\tb\tc\n", "line 2: 3 cells, and the header has 2: .*--input-format csv"),
        ("a.jsonl", '{"text": "a"}\n{"body": "a"}\n', "line 2: no member 'text': .*; there are: body"),
        ("a.jsonl", "{}\n", "line 1: no member 'text': .*; there are: none"),
        ("a.jsonl", '{"text": ["a"]}\n', r"'text' is \[\"a\"\], not a string"),
        ("a.jsonl", "[1]\n", r"line 1: is not a JSON object: .*jq -c '\.\[\]'"),
        ("a", '[{"text": "a"}]\n', r"line 1: is not a JSON object: .*jq -c '\.\[\]'"),
        ("a.json", '{\n"text": "a"}\n', r"line 1: is not a JSON object: .*one object in each line, as jq -c \. does"),
        ("a.jsonl", '{"text": "a", "x": NaN}\n', "line 1: is not a JSON object"),
        ("a.jsonl", '{"text": "a", "scores": 1}\n', "has a column or member 'scores', as the result has"),
        ("a.jsonl", '{"text": "\\ud800"}\n', "line 1: is not a JSON object"),
        ("a.jsonl", '{"text": ' + "[" * 100_000 + "\n", "line 1: is not a JSON object"),
        ("a.conllu", "1\tGo\n", "is CoNLL-U, which is for --task tag"),
        ("a.gz", gzip.compress(b"Fine.\n")[:-4], "cannot be decompressed"),
        ("a.gz", b"\x1f\x8bnothing", "cannot be decompressed"),
        ("a.bz2", b"BZh91AY&SY", "cannot be"),
        ("a.txt", LONG, "line 1: longer than 100 characters: cut it, or set TAGWERK_MAX_TEXT_CHARACTERS"),
        ("a.txt", "🙂" * 101, "line 1: longer than 100 characters"),
        ("a.csv", f"text,n\n{LONG},1\n", "line 2: the text is longer than 100 characters: cut it, or"),
        ("a.jsonl", f'{{"text": "{LONG}"}}\n', "line 1: the text is longer than 100 characters"),
        ("a.txt", b"%PDF-1.7\n", BINARY),
        ("a.xlsx", b"PK\x03\x04....xl/workbook.xml", BINARY),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1", BINARY),
        ("a.png", b"\x89PNG\r\n", BINARY),
        ("a.webp", b"RIFF....WEBPVP8", BINARY),
        ("a.tar.gz", gzip.compress(b"a".ljust(257, b"\0") + b"ustar\0"), BINARY),
        ("a.txt", "text".encode("utf-16"), "is in UTF-16 or UTF-32: convert it to UTF-8, with iconv -f UTF-16"),
        ("a.txt", "A text.".encode("utf-16-le"), "is in UTF-16"),
        ("a.txt", "A text.".encode("utf-16-be"), "is in UTF-16"),
        ("a.csv", "text\rFine.\rGood.\r", r"has carriage returns for line ends: convert them, with tr '\\r' '\\n'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_advice_and_leaves_no_file(tmp_path, name, content, message):
    path = write(tmp_path, name, content)
    with pytest.raises(UnreadableInput, match=f"{name}.* {message}"):
        run(path, output=tmp_path / "new" / "folder" / "out", strict=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [path]


def test_a_long_text_of_as_many_characters_as_allowed_is_read(tmp_path):
    assert len(content_of(write(tmp_path, "a.txt", "🙂" * 100 + "\r\n")).splitlines()) == 1


def test_a_column_that_is_named_for_plain_text_is_an_error(tmp_path):
    with pytest.raises(UnreadableInput, match=r"has no column 'review', since it is plain text: .* --input-format"):
        run(write(tmp_path, "a.txt", "Fine.\n"), text_column="review")


def test_the_format_of_the_options_comes_first(tmp_path):
    path = write(tmp_path, "a.csv", "id,text\n1,x\n")
    assert [row["line"] for row in objects(content_of(path, input_format="text"))] == [1, 2]
    path = write(tmp_path, "b.txt", "id#body\n1#x\n")
    (row,) = objects(content_of(path, input_format="csv", text_column="body", delimiter="#"))
    assert row["body"] == "x"


def test_names_that_the_result_has_too_get_a_prefix(tmp_path):
    path = write(tmp_path, "a.csv", "text,label,good\nFine.,x,y\n")
    assert content_of(path, form="csv", prefix="predicted_").splitlines() == [
        "text,label,good,predicted_label,predicted_bad,predicted_good",
        "Fine.,x,y,good,0.25,0.75",
    ]
    (row,) = objects(content_of(path, prefix="predicted_"))
    assert (row["label"], row["predicted_label"], row["predicted_scores"]) == ("x", "good", SCORES)
    path = write(tmp_path, "c.jsonl", '{"text": "Fine.", "label": "x"}')
    assert content_of(path, form="csv").splitlines() == ["line,label,bad,good,text", "1,good,0.25,0.75,Fine."]


def test_columns_that_the_tags_have_as_well_get_a_prefix(tmp_path):
    path = write(tmp_path, "a.csv", "line,review,lemma\nx,Go,y\n")
    with pytest.raises(UnreadableInput, match="has a column or member 'lemma', as the result has"):
        run(path, task="tag", form="csv", text_column="review")
    header, row = content_of(path, "tag", "csv", text_column="review", prefix="our_").splitlines()
    assert header.startswith("line,lemma,our_sentence,our_token,our_text,")
    assert row.startswith("x,y,1,1,Go,")


def test_labels_negative_and_positive_give_a_score(tmp_path, monkeypatch):
    monkeypatch.setattr(scene, "LABELS", ("negative", "positive"))
    path = write(tmp_path, "a.csv", "id,text\n1,Fine.\n2,\n")
    assert content_of(path, form="csv").splitlines() == [
        "id,text,label,negative,positive,score",
        "1,Fine.,positive,0.25,0.75,0.5",
        "2,,,,,",
    ]
    assert [row["score"] for row in objects(content_of(path))] == [0.5, None]


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize(("mark", "delimiter"), [("\ufeff", ";"), ("", ","), ("\ufeff", "\t"), ("", "|")])
def test_csv_has_the_delimiter_and_the_mark_of_its_input(tmp_path, task, mark, delimiter):
    lines = ["id,text,stars", '1,Fine film,"say ""a"""', "2,,3", "3,Good,"]
    written = content_of(write(tmp_path, "a.csv", mark + "\n".join(lines).replace(",", delimiter)), task, "csv")
    assert written.startswith(mark + "id" if task == "classify" else mark + "line")
    rows = [line.replace(delimiter, ",") for line in written.removeprefix(mark).split("\r\n")]
    if task == "classify":
        assert rows[:2] == ["id,text,stars,label,bad,good", '1,Fine film,"say ""a""",good,0.25,0.75']
    else:
        assert rows == [
            "line,id,stars,sentence,token,text,start,end,lemma,upos,xpos,feats,confidence",
            '2,1,"say ""a""",1,1,Fine,0,4,FINE,NOUN,NN,_,0.75',
            '2,1,"say ""a""",1,2,film,5,9,FILM,NOUN,NN,_,0.75',
            "4,3,,1,1,Good,0,4,GOOD,NOUN,NN,_,0.75",
            "",
        ]


def test_quotes_in_tab_separated_values_have_no_meaning(tmp_path):
    lines = content_of(write(tmp_path, "a.tsv", 'text\tid\n"Go" he said\t"1\n'), form="csv").splitlines()
    assert lines == ["text\tid\tlabel\tbad\tgood", '"Go" he said\t"1\tgood\t0.25\t0.75']


def test_blank_lines_stay_blank(tmp_path):
    path = write(tmp_path, "a.txt", "\nFine.\n \n\u3000\n\n" + "\n" * CHUNK_ROWS)
    blank = [True, False, *[True] * (CHUNK_ROWS + 3)]
    assert [{key: row[key] for key in BLANK} == BLANK for row in objects(content_of(path))] == blank
    assert content_of(path, form="csv").splitlines()[1:3] == ["1,,,,", "2,good,0.25,0.75,Fine."]
    for tokenized in (False, True):
        rows = objects(content_of(path, "tag", tokenized=tokenized))
        assert [not row["sentences"] for row in rows] == blank
        output_of(path, "tag").unlink()


def test_tokenized_lines_are_tagged_as_they_are(tmp_path):
    path = write(tmp_path, "a.txt", "do n't  stop.\n\nGo !\n")
    rows = objects(content_of(path, "tag", tokenized=True))
    assert [words(row) for row in rows] == [["do", "n't", "stop."], [], ["Go", "!"]]
    assert rows[0]["sentences"][0]["text"] == "do n't stop."
    sentences = conllu.parse(content_of(path, "tag", "conllu", tokenized=True))
    assert [sentence.metadata["sent_id"] for sentence in sentences] == ["1-1", "3-1"]
    path = write(tmp_path, "a.jsonl", '{"words": ["a b", "c"]}\n{"words": "d e"}\n{"words": []}\n')
    rows = objects(content_of(path, "tag", tokenized=True, text_column="words"))
    assert [words(row) for row in rows] == [["a b", "c"], ["d", "e"], []]


@pytest.mark.parametrize("lemmas", [True, False])
def test_sentences_of_conllu_keep_all_but_their_tags_and_lemmas_where_the_model_gives_them(
    tmp_path, monkeypatch, lemmas
):
    use_test_device(monkeypatch, lemmas=lemmas)
    path = write(tmp_path, "a.conllu", CONLLU)
    given = iter(["DE", "le", "bateau", "10 000", "GO"])  # by the rules of the test device
    first, *lines = content_of(path, "tag", "conllu").splitlines()
    assert first.startswith("# generator = tagwerk")
    expected = [*CONLLU.replace("\n\n\n", "\n\n").splitlines(), ""]
    for line, before in zip(lines, expected, strict=True):
        cells = before.split("\t")
        if cells[0].isdigit():
            cells[3:6] = ["NOUN", "NN", "_"]
            cells[2] = next(given) if lemmas else cells[2]
        assert line == "\t".join(cells)
    again = write(tmp_path, "b.conllu", "\n".join([first, *lines]))
    assert content_of(again, "tag", "conllu").count("# generator") == 1


def test_sentences_of_conllu_in_other_formats(tmp_path):
    path = write(tmp_path, "a.conllu", CONLLU)
    first, second = objects(content_of(path, "tag"))
    assert (first["line"], first["newdoc_id"], first["sent_id"]) == (1, "letters", "a")
    assert words(first) == ["De", "le", "bateau", "10 000"]
    assert (second["line"], "sent_id" in second) == (12, False)
    rows = table(content_of(path, "tag", "csv"))
    assert [(row["line"], row["token"], row["text"]) for row in rows][3:] == [("1", "4", "10 000"), ("12", "1", "Go")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONLLU.replace("2\tle", "3\tle"), r"line 6: the ID '3', not 2: words are numbered from 1"),
        (CONLLU.replace("\tbateau\tbateau", "\t \tbateau"), "line 7: FORM is empty"),
        (CONLLU.replace("\tbateau\tbateau", f"\t{LONG}\t_"), "line 1: the sentence is longer than 100 characters"),
    ],
)
def test_invalid_conllu_is_an_error(tmp_path, content, message):
    with pytest.raises(UnreadableInput, match=message):
        run(write(tmp_path, "a.conllu", content), task="tag", strict=True)


@pytest.mark.parametrize("compressed", [bytes, gzip.compress])
def test_a_pipe_may_be_compressed_and_has_a_format_by_its_content(tmp_path, compressed):
    path, output = tmp_path / "pipe", tmp_path / "out"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(compressed(b"id,text\n1,Fine.\n"),))
    writer.start()
    assert run(path, form="csv", output=output) == 0
    writer.join()
    assert output.read_bytes() == b"id,text,label,bad,good\r\n1,Fine.,good,0.25,0.75\r\n"


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.jsonl"])
def test_an_encoding_is_refused_with_its_remedy_or_understood(tmp_path, name):
    texts = [f"Café number {i}" if i % 2 else f"Tea number {i}" for i in range(40)]
    lines = [json.dumps({"text": text}, ensure_ascii=False) if name == "a.jsonl" else text for text in texts]
    path = write(tmp_path, name, "\n".join(["text"] * (name == "a.csv") + lines).encode("cp1252"))
    assert run(path) == 1
    assert len(objects(output_of(path))) == 20
    assert "name its encoding with --encoding, such as cp1252" in rejected_of(output_of(path))[0]["reason"]
    rows = objects(content_of(path.rename(tmp_path / f"again-{name}"), encoding="cp1252"))
    assert [row.get("text", text) for row, text in zip(rows, texts, strict=True)] == texts


def test_a_chunk_is_bounded_by_no_limit_of_a_request(tmp_path):
    """A chunk has more lines than a request may have, and more characters: only its lines are limited."""
    path = write(tmp_path, "a.txt", "Fine. " * 100 + "\n" + "Fine. " * 33_000 + "\n" + "Go.\n" * 300)
    assert len(objects(content_of(path, settings=Settings(batch_sizes=(8,), max_items=10)))) == 302

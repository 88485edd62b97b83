"""Parquet files, read and written."""

import csv
import datetime
import decimal
import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.commands.annotate.parquet import OTHER_MEMBERS
from service.commands.annotate.rows import UnreadableInput
from tests.commands.annotate.conftest import SCORES, objects, output_of, rejected_of, run
from tests.http import scene

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5)


@pytest.fixture
def table() -> pa.Table:
    return pa.table(
        {
            "id": pa.array([1, 2, 3], pa.int32()),
            "text": ["Fine.", None, "Good 🙂"],
            "at": pa.array([MOMENT] * 3, pa.timestamp("ns")),
            "price": pa.array([decimal.Decimal("1.50")] * 3, pa.decimal128(5, 2)),
            "labels": pa.array([["a", "b"], None, []], pa.list_(pa.string())),
            "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        }
    )


def write(folder: Path, table: pa.Table, name: str = "a.parquet", **options: Any) -> Path:
    path = folder / name
    pq.write_table(table, path, **options)
    return path


def made(path: Path, task: str = "classify", form: str = "parquet") -> Path:
    return output_of(path, task, form)


def test_the_columns_of_a_parquet_file_keep_their_types_and_results_get_theirs(tmp_path, table, monkeypatch):
    monkeypatch.setattr(scene, "LABELS", ("negative", "positive"))
    path = write(tmp_path, table)
    assert run(path, form="parquet") == 0
    found = pq.read_table(made(path))
    for name in table.column_names:
        assert found[name].to_pylist() == table[name].to_pylist()
        assert found.schema.field(name).type == table.schema.field(name).type
    assert found["line"].to_pylist() == [1, 2, 3]
    assert found["label"].to_pylist() == ["positive", None, "positive"]
    scores = {"negative": 0.25, "positive": 0.75}
    assert found["scores"].to_pylist() == [scores, None, scores]
    assert found["score"].to_pylist() == [0.5, None, 0.5]
    assert found.schema.field("score").type == pa.float32()
    assert found.schema.field("scores").type == pa.struct([("negative", pa.float32()), ("positive", pa.float32())])


def test_tokens_are_a_list_of_structs(tmp_path, table):
    path = write(tmp_path, table)
    assert run(path, task="tag", form="parquet") == 0
    first, second, third = pq.read_table(made(path, "tag"))["tokens"].to_pylist()
    assert [(token["sentence"], token["text"], token["start"], token["end"]) for token in first] == [
        (1, "Fine", 0, 4),
        (1, ".", 4, 5),
    ]
    assert {(token["upos"], token["xpos"]) for token in first} == {("NOUN", "NN")}
    assert second == []
    assert [token["text"] for token in third] == ["Good", "🙂"]


def test_a_parquet_file_becomes_json_and_csv(tmp_path, table):
    path = write(tmp_path, table)
    assert run(path) == 0
    first, second, _ = objects(made(path, form="jsonl"))
    assert first.pop("at").startswith("2026-01-02 03:04:05")
    kept = {"line": 1, "id": 1, "text": "Fine.", "price": "1.50", "labels": ["a", "b"], "kind": "x"}
    assert first == {**kept, "label": "good", "scores": SCORES}
    assert (second["text"], second["label"]) == (None, None)
    assert run(path, form="csv") == 0
    rows = list(csv.DictReader(io.StringIO(made(path, form="csv").read_text(), newline="")))
    assert [(row["id"], row["labels"], row["label"]) for row in rows] == [
        ("1", '["a","b"]', "good"),
        ("2", "", ""),
        ("3", "[]", "good"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("a.txt", "Fine.\n\nGood.\n", {"line": [1, 2, 3], "text": ["Fine.", "", "Good."]}),
        ("a.csv", "id,text\n1,Fine.\n2,\n3,Good.\n", {"id": ["1", "2", "3"], "text": ["Fine.", "", "Good."]}),
        (
            "a.jsonl",
            '{"text": "Fine.", "n": 1, "x": 1.5, "yes": true}\n{"text": null, "n": 2, "x": 1}\n'
            '{"text": "Good.", "n": "three", "more": [1]}\n',
            {
                "text": ["Fine.", None, "Good."],
                "x": [1.5, 1.0, None],
                "yes": [True, None, None],
                OTHER_MEMBERS: ['{"n":1}', '{"n":2}', '{"n":"three","more":[1]}'],
            },
        ),
    ],
)
def test_other_formats_become_parquet(tmp_path, name, content, columns):
    path = tmp_path / name
    path.write_text(content)
    assert run(path, form="parquet") == 0
    found = pq.read_table(made(path))
    for column, values in columns.items():
        assert found[column].to_pylist() == values
    assert found["label"].to_pylist() == ["good", None, "good"]


def test_a_member_that_comes_late_is_kept_and_one_of_several_types_as_json(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [{"text": "Fine.", "n": i, "m": i} for i in range(2000)]
    lines += [{"text": "Fine.", "n": 2**60, "m": 2**70, "late": {"a": 1}}]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert run(path, form="parquet") == 0
    found = pq.read_table(made(path))
    assert found.schema.field("n").type == pa.int64()
    assert found["n"].to_pylist() == [*range(2000), 2**60]
    others = [json.loads(cell) for cell in found[OTHER_MEMBERS].to_pylist()[1999:]]
    assert others == [{"m": 1999}, {"m": 2**70, "late": {"a": 1}}]


def test_a_long_text_is_left_out(tmp_path):
    path = write(tmp_path, pa.table({"text": ["Fine.", "x" * 101, "Good."]}))
    assert run(path, form="parquet") == 1
    assert pq.read_table(made(path))["text"].to_pylist() == ["Fine.", "Good."]
    (rejected,) = rejected_of(made(path))
    assert rejected["line"] == 2
    assert rejected["reason"].startswith("the text is longer than 100 characters")


def test_tokens_may_be_given_as_lists(tmp_path):
    path = write(tmp_path, pa.table({"text": [["Don't", "go"], [], ["Stop"]]}))
    assert run(path, task="tag", tokenized=True) == 0
    rows = objects(made(path, "tag", "jsonl"))
    tokens = [[token["text"] for one in row["sentences"] for token in one["tokens"]] for row in rows]
    assert tokens == [["Don't", "go"], [], ["Stop"]]


def test_a_file_without_rows_gives_one_without_rows(tmp_path):
    path = write(tmp_path, pa.table({"text": pa.array([], pa.string()), "n": pa.array([], pa.int64())}))
    assert run(path, form="parquet") == 0
    assert pq.read_table(made(path)).column_names == ["line", "text", "n", "label", "scores"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"review": ["Fine."]}, "has no column 'text': name the one with .* --text-column; there are: review"),
        ({"text": [1]}, "the column 'text' is of the type int64, not string"),
        ({"text": ["Fine."], "label": ["x"]}, "has a column or member 'label', as the result has: .*--prefix"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, columns, message):
    with pytest.raises(UnreadableInput, match=message):
        run(write(tmp_path, pa.table(columns)), form="parquet")


def test_what_is_no_parquet_file_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1\x15 and nothing more")
    with pytest.raises(UnreadableInput, match="is no valid Parquet file"):
        run(path)


def test_without_the_extra_it_says_which(tmp_path, monkeypatch):
    path = write(tmp_path, pa.table({"text": ["Fine."]}))
    monkeypatch.delattr("service.commands.annotate.parquet")
    monkeypatch.delitem(sys.modules, "service.commands.annotate.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnreadableInput, match=r"Parquet needs the extra `files`: pip install '.\[files\]'"):
        run(path)

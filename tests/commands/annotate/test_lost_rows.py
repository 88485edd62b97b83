"""No row is lost in silence: bad ones cost only themselves, and many of them the exit status."""

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from service.__main__ import main
from service.commands.annotate import annotator
from service.commands.annotate.command import annotate
from service.commands.annotate.job import Job
from service.commands.annotate.records import read_manifest
from service.commands.annotate.rows import InputOptions, Lines, Position, UnreadableInput
from service.commands.annotate.source import CHUNK_ROWS, Source
from service.settings import Settings
from tests.commands.annotate.test_output import killed_before
from tests.in_process import use_test_device

SETTINGS = Settings(batch_sizes=(8,), max_text_characters=100)


@pytest.fixture(autouse=True)
def engine(monkeypatch) -> None:
    monkeypatch.setattr(annotator, "CHECKPOINT_SECONDS", 0.0)
    use_test_device(monkeypatch)


def run(path: Path, content: str | bytes, **options: Any) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    """Writes and annotates a file; returns the exit status, the rows, and the bad ones."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    output = path.with_name(f"{path.name}.out")
    status = annotate(SETTINGS, Job([path], options.pop("task", "classify"), "jsonl", output, **options))
    return status, objects(output), objects(output.with_name(f"{output.name}.rejected.jsonl"))


def objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(changed: dict[int, str], rows: int = 1000) -> str:
    """Returns a table, of which some rows, counted from 1, are others."""
    return "id,text\n" + "".join(changed.get(i, f"{i},Number {i}.") + "\n" for i in range(1, rows + 1))


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["id"]) for row in rows]


def test_a_quote_too_many_costs_one_row(tmp_path, capsys):
    status, rows, rejected = run(tmp_path / "a.csv", table({3: '3,"never closed'}))
    assert status == 0
    assert ids(rows) == [i for i in range(1, 1001) if i != 3]
    assert [row["text"] for row in rows[:3]] == ["Number 1.", "Number 2.", "Number 4."]
    assert [(row["line"], row["content"], row["lines"]) for row in rejected] == [(4, '3,"never closed\n', 1)]
    assert "a.csv: 1000 rows, " in (said := capsys.readouterr().err)
    assert "1 bad rows are left out" in said


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        ({3: '3,"never closed', 5: '5,"Two\nlines."', 7: '7,"One line."'}, [3]),
        ({3: '3,"never closed', 4: '4,"Two\n\nlines, of text."'}, [3]),
        ({3: '3,"one, too many\nin a cell",x', 5: '5,"Fine."'}, [3]),
        ({3: '3,"ends" too early', 4: '4,"never closed', 6: '6,"""quoted"" is fine"'}, [3, 4]),
        ({3: '3,"never closed', 4: '4,a 5" screen', 5: "5,one,too many"}, [3, 4, 5]),
        ({3: '3,"never closed', 900: "900,caf\udce9"}, [3, 900]),
        ({3: f'3,"{"much too long, " * 10}\nof {"two lines, " * 10}"'}, [3]),
    ],
)
def test_what_is_right_after_a_bad_record_is_kept(tmp_path, changed, lost):
    content = table(changed).encode(errors="surrogateescape")
    _, rows, rejected = run(tmp_path / "a.csv", content)
    assert ids(rows) == [i for i in range(1, 1001) if i not in lost]
    assert {"Two\nlines.", "Two\n\nlines, of text."}.isdisjoint(row["content"] for row in rejected)
    with pytest.raises(UnreadableInput, match="line 4: "):
        run(tmp_path / "b.csv", content, strict=True)


def test_no_line_is_read_more_than_twice_whatever_the_quotes(tmp_path, monkeypatch):
    """Each of these lines opens a cell that the next one closes to open another one."""
    count, read = 0, Lines.read

    def counted(*arguments: Any) -> str:
        nonlocal count
        count += 1
        return read(*arguments)

    monkeypatch.setattr(Lines, "read", counted)
    run(tmp_path / "a.csv", "id,text\n1,Fine.\n" + 'a","b\n' * 3000)
    assert 3000 < count < 3 * 2 * 3000  # the file is opened twice
    source = Source(tmp_path / "a.csv", InputOptions("classify", strict=False))
    chunks = list(source.chunks(Position(), 100))
    assert max(len(chunk.rows) + len(chunk.rejected) for chunk in chunks) <= CHUNK_ROWS
    assert chunks[3].start.again > 0
    for chunk, next_chunk in pairwise(chunks):
        assert next(source.chunks(chunk.end, 100)) == next_chunk


def test_a_cell_in_quotes_ends_within_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr("service.commands.annotate.tables.RECORD_BYTES", 1000)
    _, rows, rejected = run(tmp_path / "a.csv", table({3: '3,"never closed'}))
    assert (len(rows), [row["line"] for row in rejected]) == (999, [4])
    assert rejected[0]["reason"] == "a quote that is not closed within 1,100 bytes"


@pytest.mark.parametrize("seed", range(12))
def test_bad_records_killed_anywhere_end_in_what_an_uninterrupted_run_writes(tmp_path, monkeypatch, seed):
    draw = random.Random(seed)
    cells = ["fine", '"fine"', '"never closed', '"two\nlines"', 'a 5" screen', '"one"more', "too,many", '"', '""', ""]
    monkeypatch.setattr("service.commands.annotate.source.CHUNK_ROWS", draw.choice([1, 3, 7]))
    path, output, whole = tmp_path / "a.csv", tmp_path / "out", tmp_path / "whole"
    path.write_text(table({i: f"{i},{draw.choice(cells)}" for i in range(2, 60)}, rows=60))
    job = Job([path], "classify", "jsonl", whole, allow_bad_rows=True)
    assert annotate(SETTINGS, job) == 0
    job = Job([path], "classify", "jsonl", output, allow_bad_rows=True)
    for _ in range(4):
        with killed_before(draw.randint(0, 80), monkeypatch):
            annotate(SETTINGS, job)
    for _ in range(2):
        assert annotate(SETTINGS, job) == 0
    for end in ("", ".rejected.jsonl"):
        assert output.with_name(f"out{end}").read_bytes() == whole.with_name(f"whole{end}").read_bytes()
    one, other = read_manifest(output), read_manifest(whole)
    assert one is not None
    assert other is not None
    assert (one.rows, one.rejected, one.lines, one.rejected_lines) == (
        *(other.rows, other.rejected, other.lines, other.rejected_lines),
    )


@pytest.mark.parametrize(("bad", "status"), [(10, 0), (11, 1)])
def test_more_than_a_hundredth_of_bad_rows_is_no_success_unless_it_is_allowed(tmp_path, capsys, bad, status):
    content = table({i: str(i) for i in range(1, bad + 1)})
    path = tmp_path / "a.csv"
    assert run(path, content)[0] == status
    told = f"{path}: more than 1 % of its rows or lines are left out, so the exit status is 1"
    assert (told in capsys.readouterr().err) == bool(status)
    for allow in (False, True):  # the complete output of before stays as it is
        assert run(path, content, allow_bad_rows=allow)[0] == (0 if allow else status)
    for path in tmp_path.iterdir():
        path.unlink()
    assert run(tmp_path / "a.csv", content, allow_bad_rows=True)[0] == 0
    output = Path("-")
    assert annotate(SETTINGS, Job([tmp_path / "a.csv"], "classify", "jsonl", output)) == status


def test_lines_count_as_well_as_rows(tmp_path, capsys):
    """One bad row of 101, but a sixth of the lines: a text so long that it seems to be many rows in quotes."""
    content = table({3: '3,"' + "a line\n" * 20 + '"'}, rows=101)
    status, rows, (bad,) = run(tmp_path / "a.csv", content)
    assert (status, len(rows), bad["line"], bad["lines"]) == (1, 100, 4, 21)
    assert bad["reason"].startswith("the text is longer than 100 characters")
    assert "1 bad rows (21 lines) are left out" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.jsonl"])
def test_an_encoding_is_refused_with_its_remedy_or_understood(tmp_path, name):
    texts = [f"Café number {i}" if i % 2 else f"Tea number {i}" for i in range(40)]
    content = {
        "a.csv": "text\n" + "\n".join(texts),
        "a.txt": "\n".join(texts),
        "a.jsonl": "\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts),
    }[name].encode("cp1252")
    status, rows, rejected = run(tmp_path / name, content)
    assert (status, len(rows), len(rejected)) == (1, 20, 20)
    assert "name its encoding with --encoding, such as cp1252" in rejected[0]["reason"]
    status, rows, rejected = run(tmp_path / f"b{name}", content, encoding="cp1252")
    assert (status, len(rows), rejected) == (0, 40, [])
    if name != "a.txt":
        assert [row["text"] for row in rows] == texts


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("id|text\n1|a, b; c\n", {}),
        ("sep=;\nid;text\n1;a, b; c\n".replace("; c", ": c"), {}),
        ("\ufeffSEP=|\r\nid|text\r\n1|a, b; c\r\n", {}),
        ("id#text\n1#a, b; c\n", {"delimiter": "#"}),
        ("id|text\n1|a, b; c\n", {"delimiter": "|"}),
    ],
)
def test_delimiters(tmp_path, content, options):
    status, rows, rejected = run(tmp_path / "a.csv", content, **options)
    assert (status, rejected) == (0, [])
    assert [(row["id"], row["text"][:4]) for row in rows] == [("1", "a, b")]


def test_a_table_without_a_name_may_name_its_delimiter(tmp_path):
    _, rows, _ = run(tmp_path / "table", "sep=|\nid|text\n1|Fine.\n")
    assert [(row["line"], row["id"], row["text"]) for row in rows] == [(3, "1", "Fine.")]


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.tsv", "a.jsonl"])
def test_carriage_returns_for_line_ends_are_refused_with_the_remedy(tmp_path, name):
    with pytest.raises(UnreadableInput, match=r"has carriage returns for line ends: convert them, with tr '\\r' '\\n'"):
        run(tmp_path / name, "text\rFine.\rGood.\r")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encoding", "utf-16"], "convert the files to UTF-8, with iconv -f utf-16 -t UTF-8"),
        (["--encoding", "cp037"], "convert the files to UTF-8"),
        (["--encoding", "klingon"], "'klingon' is none that Python knows"),
        (["--encoding", "base64"], "'base64' is none that Python knows"),
        (["--delimiter", "::"], "'::' is no single character such as ';' or '|'"),
        (["--delimiter", '"'], "is no single character"),
        (["--delimiter", ";", "--input-format", "tsv"], "--delimiter is for --input-format csv"),
        (["--strict", "--allow-bad-rows"], "--strict ends at the first bad row"),
    ],
)
def test_encodings_and_delimiters_that_are_none_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(["annotate", "x", "--task", "tag", *arguments])
    assert message in capsys.readouterr().err


def test_the_command_line_has_these_options(tmp_path, monkeypatch):
    monkeypatch.setenv("TAGWERK_BATCH_SIZES", "8")
    path = tmp_path / "a.txt"
    path.write_bytes("n\ttext\n1\tCafé.\n".encode("latin-1") + b"2\n" * 2)
    common = ["annotate", str(path), "--task", "classify", "--format", "csv", "--encoding", "latin1"]
    assert main([*common, "--delimiter", "\\t", "--output", str(tmp_path / "out.csv"), "--allow-bad-rows"]) == 0
    assert (tmp_path / "out.csv").read_bytes().splitlines()[1] == "1\tCafé.\tgood\t0.25\t0.75".encode()
    assert main([*common, "--delimiter", "\\t", "--output", str(tmp_path / "again.csv")]) == 1


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize(("mark", "delimiter"), [("\ufeff", ";"), ("", ","), ("\ufeff", "\t"), ("", "|")])
def test_csv_has_the_delimiter_and_the_mark_of_its_input(tmp_path, task, mark, delimiter):
    lines = ["id,text,stars", '1,Fine film,"say ""a"""', "2,,3", "3,Good,"]
    path = tmp_path / "a.csv"
    path.write_text(mark + "\n".join(lines).replace(",", delimiter))
    assert annotate(SETTINGS, Job([path], task, "csv")) == 0
    written = path.with_name(f"a.csv.{task}.csv").read_bytes().decode()
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


def test_tab_separated_values_stay_without_quotes(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tid\n"Go" he said\t"1\n')
    assert annotate(SETTINGS, Job([path], "classify", "csv")) == 0
    written = path.with_name("a.tsv.classify.csv").read_text().splitlines()
    assert written == ["text\tid\tlabel\tbad\tgood", '"Go" he said\t"1\tgood\t0.25\t0.75']


def test_columns_that_the_tags_have_as_well_get_a_prefix(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("line,review,lemma\nx,Go,y\n")
    with pytest.raises(UnreadableInput, match="has a column 'lemma', as the result has"):
        annotate(SETTINGS, Job([path], "tag", "csv", text_column="review"))
    assert annotate(SETTINGS, Job([path], "tag", "csv", text_column="review", prefix="our_")) == 0
    header, row = path.with_name("a.csv.tag.csv").read_text().splitlines()
    assert header.startswith("line,lemma,our_sentence,our_token,our_text,")
    assert row.startswith("x,y,1,1,Go,")

"""No row is lost in silence: bad ones cost only themselves, and many of them the exit status."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from service.commands.annotate.rows import Chunk, Position, Reader, UnreadableInput
from service.commands.annotate.source import Source
from tests.commands.annotate.conftest import job, manifest_of, objects, output_of, rejected_of, run, write

BAD = {
    "text": (b"Fine.\n\xff\xfe\n" + b"x" * 1000 + b"\nGood.\n", [(2, "not UTF-8 at byte 1"), (3, "longer than 100")]),
    "csv": (
        b'id,text\n1,Fine.\n2\n3,"a"b\n4,\xff\n5,Good.\n',
        [(3, "1 cell, and the header has 2"), (4, "expected after"), (5, "not UTF-8")],
    ),
    "tsv": (b"id\ttext\n1\tFine.\n2\n3\tGood.\n", [(3, "1 cell, and the header has 2")]),
    "jsonl": (
        b'{"text": "Fine."}\n{"text"\n[1]\n{"other": "x"}\n{"text": 7}\n{"text": "Good."}\n',
        [(2, "is not a JSON object"), (3, "is not a JSON object"), (4, "no member 'text'"), (5, "'text' is 7")],
    ),
    "conllu": (
        b"1\tGo\t_\t_\t_\t_\t_\t_\t_\t_\n\n1\tGo\n2\tthere\n\n# a\n\xff\n\n1\tGo\t_\t_\t_\t_\t_\t_\t_\t_\n",
        [(3, "2 columns, not 10"), (7, "not UTF-8")],
    ),
}


def parts(path: Path, content: str | bytes, **options: Any) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    """Writes and annotates a file; returns the exit status, the rows, and the bad ones."""
    write(path.parent, path.name, content)
    status = run(path, **options)
    return status, objects(output_of(path)), rejected_of(output_of(path))


def table(changed: dict[int, str], rows: int = 1000) -> str:
    """Returns a table, of which some rows, counted from 1, are others."""
    return "id,text\n" + "".join(changed.get(i, f"{i},Number {i}.") + "\n" for i in range(1, rows + 1))


@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_are_counted_and_written_to_a_file_of_their_own(tmp_path, capsys, kind):
    content, expected = BAD[kind]
    path, task = write(tmp_path, f"a.{kind}", content), "tag" if kind == "conllu" else "classify"
    output = output_of(path, task)
    assert run(path, task=task) == 1
    assert len(objects(output)) == 2
    for row, (line, reason) in zip(rejected_of(output), expected, strict=True):
        assert row["line"] == line
        assert reason in row["reason"]
    rows = "1 bad row" if len(expected) == 1 else f"{len(expected)} bad rows"
    lines = " (6 lines)" if kind == "conllu" else ""
    assert f"left out {rows}{lines}, see {output}.rejected.jsonl" in capsys.readouterr().err
    made = manifest_of(output)
    assert (made.rows, made.rejected) == (2, len(expected))
    with pytest.raises(UnreadableInput, match=f"line {expected[0][0]}: .*{expected[0][1]}"):
        run(path, task=task, output=tmp_path / "strict", strict=True)


def test_the_content_of_a_bad_row_is_kept(tmp_path):
    _, _, rejected = parts(tmp_path / "a.csv", b'id,text\n1,"Fine.\nand ""more""",2\n2,"x\xff"\n3,Good.\n')
    assert [row["content"] for row in rejected] == ['1,"Fine.\n', 'and ""more""",2\n', '2,"x\\xff"\n']
    _, rows, (bad,) = parts(tmp_path / "b.txt", b"Fine.\n" + b"x" * 10**6 + b"\nGood.")
    assert 100 < len(bad["content"]) < 1000
    assert [row["line"] for row in rows] == [1, 3]


def test_an_input_of_nothing_but_bad_rows_is_an_error(tmp_path):
    path = write(tmp_path, "a.jsonl", "no JSON\n" * 3)
    with pytest.raises(UnreadableInput, match=r"a.jsonl: all of its rows are bad, see .*rejected.jsonl"):
        run(path)
    assert not output_of(path).exists()


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        ({3: '3,"never closed'}, [3]),
        ({3: '3,"never closed', 5: '5,"Two\nlines."', 7: '7,"One line."'}, [3]),
        ({3: '3,"never closed', 4: '4,"Two\n\nlines, of text."'}, [3]),
        ({3: '3,"one, too many\nin a cell",x', 5: '5,"Fine."'}, [3]),
        ({3: '3,"ends" too early', 4: '4,"never closed', 6: '6,"""quoted"" is fine"'}, [3, 4]),
        ({3: '3,"never closed', 4: '4,a 5" screen', 5: "5,one,too many"}, [3, 4, 5]),
        ({3: '3,"never closed', 900: "900,caf\udce9"}, [3, 900]),
        ({3: '3,"never closed', 700: '700,a screen of 12"'}, [3, 700]),
        ({3: '3,"never, closed', 5: "5, after a space", 700: '700,a screen of 12"'}, [3, 700]),
        ({3: f'3,"{"much too long, " * 10}\nof {"two lines, " * 10}"'}, [3]),
    ],
)
def test_a_quote_too_many_costs_one_row_and_what_is_right_behind_it_is_kept(tmp_path, changed, lost):
    content = table(changed).encode(errors="surrogateescape")
    _, rows, rejected = parts(tmp_path / "a.csv", content)
    assert [int(row["id"]) for row in rows] == [i for i in range(1, 1001) if i not in lost]
    assert (rejected[0]["line"], rejected[0]["content"].partition("\n")[0]) == (4, changed[3].partition("\n")[0])
    assert {"Two\nlines.", "Two\n\nlines, of text."}.isdisjoint(row["content"] for row in rejected)
    with pytest.raises(UnreadableInput, match="line 4: "):
        parts(tmp_path / "b.csv", content, strict=True)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("id,text", '7,"' + "x, y\n" * 15 + 'z, 1"'),
        ("text,id", '"' + "x,y\n" * 15 + 'z,1",7'),
        ("id,text", '7,"' + "x,y\n" * 15 + 'z,1"'),
        ("id,kind,text", '7,no,"' + "x,y,z\n" * 15 + 'z,1,2"'),
    ],
    ids=["of prose", "of a table", "of a table at the end", "of a wider table"],
)
def test_a_cell_with_as_many_delimiters_in_each_line_as_a_row_is_kept(tmp_path, header, row):
    _, (found,), rejected = parts(tmp_path / "a.csv", f"{header}\n{row}\n")
    assert (found["id"], rejected) == ("7", [])


def test_no_line_is_read_more_than_twice_whatever_the_quotes(tmp_path, monkeypatch):
    """Each of these lines opens a cell that the next one closes to open another one."""
    count, read = 0, Reader.read_line

    def counted(*arguments: Any) -> str:
        nonlocal count
        count += 1
        return read(*arguments)

    monkeypatch.setattr(Reader, "read_line", counted)
    path = write(tmp_path, "a.csv", "id,text\n1,Fine.\n" + 'a","b\n' * 3000)
    assert run(path) == 1
    assert 3000 < count < 3 * 3000
    monkeypatch.setattr("service.commands.annotate.readers.RECORD_BYTES", 1000)
    chunks = chunks_of(path, Position())
    assert len(chunks) > 1
    for chunk, next_chunk in pairwise(chunks):
        assert chunks_of(path, chunk.end)[0] == next_chunk


def chunks_of(path: Path, start: Position) -> list[Chunk]:
    with Source(path, job(longest_text=100)) as source:
        return list(source.chunks(start))


def test_a_cell_in_quotes_ends_within_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr("service.commands.annotate.readers.RECORD_BYTES", 1000)
    _, rows, rejected = parts(tmp_path / "a.csv", table({3: '3,"never closed'}))
    assert (len(rows), [row["line"] for row in rejected]) == (999, [4])
    assert rejected[0]["reason"] == "a quote that is not closed within 1,100 bytes"


@pytest.mark.parametrize(("bad", "status"), [(10, 0), (11, 1)])
def test_more_than_a_hundredth_of_bad_rows_is_no_success_unless_it_is_allowed(tmp_path, capsys, bad, status):
    path = write(tmp_path, "a.csv", table({i: str(i) for i in range(1, bad + 1)}))
    assert run(path) == status
    told = f"{path}: more than 1 % of its rows or lines are left out, so the exit status is 1"
    assert (told in capsys.readouterr().err) == bool(status)
    for allow in (False, True):  # the complete output of before stays as it is
        assert run(path, allow_bad_rows=allow) == (0 if allow else status)
    assert run(path, allow_bad_rows=True, output=tmp_path / "other") == 0
    assert run(path, output=Path("-")) == status


def test_lines_count_as_well_as_rows(tmp_path, capsys):
    """One bad row of 101, but a sixth of the lines: a text so long that it seems to be many rows in quotes."""
    status, rows, (bad,) = parts(tmp_path / "a.csv", table({3: '3,"' + "a line\n" * 20 + '"'}, rows=101))
    assert (status, len(rows), bad["line"], bad["lines"]) == (1, 100, 4, 21)
    assert bad["reason"].startswith("the text is longer than 100 characters")
    assert "left out 1 bad row (21 lines)" in capsys.readouterr().err

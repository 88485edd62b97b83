"""Files of users, and CoNLL-U: what is read of each format, and what is said of mistakes."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from training.data.files import DataFileError, read_text
from training.data.tables import read_labelled
from training.data.treebank import Tree, Word, read

ROW = "1\tdog\tdog\tNOUN\tNN\tNumber=Sing\t0\troot\t_\t_\n"
MULTIWORD = [f"{i}\tword\tword\tNOUN\t_\t_\t_\t_\t_\t_" for i in (1, 2, 3)]


def of_file(path: Path) -> Any:
    """Reads a file by its suffix: a treebank, a table, or a text."""
    if path.suffix == ".conllu":
        return list(read(read_text(path), path))
    return read_text(path) if path.suffix == ".txt" else read_labelled(path, "text", "label")


def multiword(*spans: str) -> str:
    """Returns a sentence of three words with multiword tokens, each before the word with its first number."""
    lines = []
    for i, word in enumerate([*MULTIWORD, ""], start=1):
        lines += [f"{span}\twords" + "\t_" * 8 for span in spans if span.startswith(str(i))]
        lines += [word] if word else []
    return "\n".join(lines)


def line_of_two(line: str) -> str:
    return f"# a comment\n{ROW}{line}\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", ": is empty; right: a file with examples"),
        ("a.txt", b" \r\n\n", ": is empty"),
        ("a.txt", b"a\nb\xe9\n", ", line 2: the byte 0xE9 is not UTF-8; right: UTF-8"),
        ("a.txt", "é\n".encode("utf-16"), ": is UTF-16; right: UTF-8, which `iconv -f UTF-16 -t UTF-8` makes"),
        ("a.txt", gzip.compress(b"abcdef", mtime=0)[:-9], ": gzip cannot be undone"),
        ("a.txt", None, ": cannot be read: No such file or directory"),
        ("a.csv", "text,class\none,a\n", ", line 2: no column 'label'; right: one of text, class"),
        ("a.csv", "text,label\none,a\ntwo\n", ", line 3: 1 cell; right: 2 as in the first line: text, label"),
        ("a.csv", "text,label\none, two,a\n", ", line 2: 3 cells; right: 2 as in the first line"),
        ("a.csv", 'text,label\n"one,a\n', ", line 2: unexpected end of data; right: cells with commas"),
        ("a.csv", "text,label\n ,a\n", ", line 2: text is empty; right: a value"),
        ("a.csv", "text,label\none,\n", ", line 2: label is empty"),
        ("a.csv", "text;label\none;a\n", ", line 1: ';' between the columns; right: commas, or in a file"),
        ("a.csv", "sep=|\ntext,label\n", ", line 1: '|' between the columns; right: commas, or in a file"),
        ("a.jsonl", '{"text": "one", "label": 1}\n{"text"\n', ", line 2: is not JSON"),
        ("a.jsonl", '["one", 1]\n', ", line 1: is a list; right: a JSON object in each line"),
        ("a.jsonl", '{"text": "one", "label": null}\n', ", line 1: label is empty"),
        ("a.parquet", "PAR1 no more", ": is not Parquet: "),
        ("a.xlsx", "text", ": is called a.xlsx; right: a name that ends in .csv, .tsv, .jsonl"),
        ("a.conllu", line_of_two(ROW.replace("1", "2", 1)[:-3]), ", line 3: 9 columns; right: 10, divided by tabs: ID"),
        ("a.conllu", line_of_two("1 dog dog NOUN NN _ 0 root _ _"), ", line 3: 1 column; right: 10"),
        ("a.conllu", line_of_two(ROW.replace("1", "3", 1)), ", line 3: the ID '3'; right: 2: words are numbered from"),
        ("a.conllu", line_of_two(ROW.replace("1\tdog", "2\t")), ', line 3: FORM is empty; right: a value, or "_" for'),
        ("a.conllu", line_of_two("2" + ROW[1:].replace("NOUN", "")), ", line 3: UPOS is empty"),
        ("a.conllu", line_of_two("2" + ROW[1:].replace("Number=", "")), ", line 3: the features 'Sing'; right: Name="),
        ("a.conllu", multiword("1-2", "2-3"), ", line 3: the multiword token begins within the one of line 1; ri"),
        ("a.conllu", multiword("1-3", "1-2"), ", line 2: the multiword token begins within the one of line 1"),
        ("a.conllu", multiword("3-4"), ", line 3: the multiword token ends at word 4, and the sentence at word 3"),
        ("a.conllu", multiword("2-1"), ", line 2: the ID '2-1'"),
        ("a.conllu", multiword("4-5"), ", line 4: the multiword token ends at word 5, and the sentence at word 3"),
        ("a.conllu", multiword("4-5") + "\n\n" + ROW, ", line 4: the multiword token ends at word 5, and the sentence"),
        ("a.conllu", f"1-2\twords{8 * chr(9)}_\n\n{ROW}", ", line 1: "),
    ],
)
def test_a_mistake_is_named_with_its_file_and_line(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataFileError) as raised:
        of_file(tmp_path / name)
    assert str(raised.value).startswith(f"{tmp_path / name}{message}")


@pytest.mark.parametrize(
    "content", [b"\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b"gzip"], ids=["plain", "CRLF", "CR", "byte order mark", "gzip"]
)
def test_a_text_is_the_same_however_it_was_saved(content, tmp_path):
    plain = "é\nb\n".encode()
    saved = {b"\xef\xbb\xbf": content + plain, b"gzip": gzip.compress(b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n"))}
    (tmp_path / "file").write_bytes(saved.get(content) or plain.replace(b"\n", content))
    assert read_text(tmp_path / "file") == "é\nb\n"


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.csv", 'id,text,label\n1,"One, ""two""\nthree",a\n\n2,four,b\n', (2, 5)),
        ("a.tsv", 'text\tid\tlabel\nOne, "two" three\t1\ta\n\nfour\t2\tb\n', (2, 4)),
        ("a.jsonl", '{"text": "One, \\"two\\"\\nthree", "label": "a"}\n\n\n{"label": "b", "text": "four"}\n', (1, 4)),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_tables_give_the_same_texts(name, content, lines, zipped, tmp_path):
    path = tmp_path / (f"{name}.gz" if zipped else name)
    path.write_bytes(gzip.compress(content.encode()) if zipped else content.encode())
    first, second = read_labelled(path, "text", "label")
    assert (" ".join(first.text.split()), first.label) == ('One, "two" three', "a")
    assert (second.text, second.label) == ("four", "b")
    assert (first.line, second.line) == lines


def test_a_parquet_file_is_a_table_and_a_label_may_be_a_number(tmp_path):
    columns = {"id": [1, 2], "text": ["One, two", "three"], "label": [5, None]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataFileError, match=r"a\.parquet, line 2: label is empty"):
        read_labelled(tmp_path / "a.parquet", "text", "label")
    assert [text.label for text in read_labelled(tmp_path / "a.parquet", "text", "id")] == ["1", "2"]


TEXT = """\
# sent_id = 1
# text = I can't.
1\tI\tI\tPRON\tPRP\tNumber=Sing\t2\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\tMD\tVerbForm=Fin\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_

# sent_id = 2
1\t#\t#\tSYM\t#\t_\t0\troot\t_\t_

# newdoc
1\tb\t_\tX\t_\t_\t_\t_\t_\t_
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_treebank_has_words_and_documents_whatever_ends_its_lines(end):
    first, second, third = read(TEXT.replace("\n", end))
    assert first.forms == ("I", "ca", "n't")
    assert first.words[0] == Word("I", "PRON", "PRP", "Number=Sing", "I")
    assert second.forms == ("#",)
    assert third.words == (Word("b", "X", "_", "_", "_"),)
    assert [tree.document for tree in (first, second, third)] == [0, 0, 1]


def test_a_word_may_hold_what_other_tools_take_for_a_line_end():
    (tree,) = read(ROW.replace("dog", "a\x85b\u2028c", 1))
    assert isinstance(tree, Tree)
    assert tree.forms == ("a\x85b\u2028c",)

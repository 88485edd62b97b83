"""Files of users, and CoNLL-U: what is read of each format, and what is said of mistakes."""

import gzip

import pyarrow
import pyarrow.parquet
import pytest

from training.data.files import DataFileError, read_text
from training.data.tables import read_labelled
from training.data.treebank import Word, read

ROW = "1\tdog\tdog\tNOUN\tNN\tNumber=Sing\t0\troot\t_\t_\n"


@pytest.mark.parametrize(
    "content",
    [
        "é\nb\n".encode(),
        "\ufeffé\nb\n".encode(),
        "é\r\nb\r\n".encode(),
        "é\rb\r".encode(),
        gzip.compress("\ufeffé\r\nb\r\n".encode()),
    ],
    ids=["plain", "byte order mark", "CRLF", "CR", "gzip"],
)
def test_a_text_is_the_same_however_it_was_saved(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    assert read_text(tmp_path / "file") == "é\nb\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; right: a file with examples"),
        (b" \r\n\n", "is empty"),
        (b"a\nb\xe9\n", "line 2: the byte 0xE9 is not UTF-8; right: UTF-8"),
        ("é\n".encode("utf-16"), "is UTF-16; right: UTF-8, which `iconv -f UTF-16 -t UTF-8` makes"),
        (gzip.compress(b"abcdef", mtime=0)[:-9], "gzip cannot be undone"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_no_text_is_refused(content, message, tmp_path):
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataFileError) as raised:
        read_text(tmp_path / "file")
    assert str(raised.value).startswith(f"{tmp_path / 'file'}")
    assert message in str(raised.value)


def test_sentences_end_at_blank_lines_whatever_ends_the_lines():
    for end in ("\n", "\r\n"):
        assert len(list(read(f"{ROW}\n{ROW}{ROW.replace('1', '2', 1)}".replace("\n", end)))) == 2


def test_a_word_may_hold_what_other_tools_take_for_a_line_end():
    (tree,) = read(ROW.replace("dog", "a\x85b\u2028c", 1))
    assert tree.forms == ("a\x85b\u2028c",)


def test_columns_may_be_left_out_and_documents_are_counted():
    first, second, third = read(f"# newdoc id = a\n{ROW}\n1\tb\t_\tX\t_\t_\t_\t_\t_\t_\n\n# newdoc\n{ROW}")
    assert second.words == (Word("b", "X", "_", "_", "_"),)
    assert [tree.document for tree in (first, second, third)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_", "9 columns; right: 10, divided by tabs: ID FORM LEMMA"),
        ("1 dog dog NOUN NN _ 0 root _ _", "1 column; right: 10"),
        ("3\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_", "the ID '3'; right: 2: words are numbered from 1"),
        ("2\t\tdog\tNOUN\tNN\t_\t0\troot\t_\t_", 'FORM is empty; right: a value, or "_" for none'),
        ("2\tdog\tdog\t\tNN\t_\t0\troot\t_\t_", "UPOS is empty"),
        ("2\tdog\tdog\tNOUN\tNN\tSing\t0\troot\t_\t_", "the features 'Sing'; right: Name=Value|Name=Value"),
    ],
)
def test_a_wrong_line_of_a_treebank_is_named(line, message):
    with pytest.raises(DataFileError) as raised:
        list(read(f"# a comment\n{ROW}{line}\n", "train.conllu"))
    assert str(raised.value).startswith("train.conllu, line 3: ")
    assert message in str(raised.value)


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


def test_a_parquet_file_is_a_table(tmp_path):
    columns = {"id": [1, 2], "text": ["One, two", "three"], "label": [5, None]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataFileError, match=r"a\.parquet, line 2: label is empty"):
        read_labelled(tmp_path / "a.parquet", "text", "label")
    assert [text.label for text in read_labelled(tmp_path / "a.parquet", "text", "id")] == ["1", "2"]


def test_a_label_may_be_a_number(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one", "label": 1}\n')
    assert [text.label for text in read_labelled(tmp_path / "a.jsonl", "text", "label")] == ["1"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,class\none,a\n", ", line 2: no column 'label'; right: one of text, class"),
        ("a.csv", "text,label\none,a\ntwo\n", ", line 3: 1 cell; right: 2 as in the first line: text, label"),
        ("a.csv", "text,label\none, two,a\n", ", line 2: 3 cells; right: 2 as in the first line"),
        ("a.csv", 'text,label\n"one,a\n', ", line 2: unexpected end of data; right: cells with commas"),
        ("a.csv", "text,label\n ,a\n", ", line 2: text is empty; right: a value"),
        ("a.csv", "text,label\none,\n", ", line 2: label is empty"),
        ("a.jsonl", '{"text": "one", "label": 1}\n{"text"\n', ", line 2: is not JSON"),
        ("a.jsonl", '["one", 1]\n', ", line 1: is a list; right: a JSON object in each line"),
        ("a.jsonl", '{"text": "one", "label": null}\n', ", line 1: label is empty"),
        ("a.parquet", "PAR1 no more", ": is not Parquet: "),
        ("a.xlsx", "text", ": is called a.xlsx; right: a name that ends in .csv, .tsv, .jsonl"),
    ],
)
def test_a_wrong_row_of_a_table_is_named(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataFileError) as raised:
        read_labelled(tmp_path / name, "text", "label")
    assert str(raised.value).startswith(f"{tmp_path / name}{message}")


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

"""


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        (
            ["1-2", "2-3"],
            "line 3: the multiword token begins within the one of line 1; right: ranges that have no word in",
        ),
        (["1-3", "2-3"], "line 3: the multiword token begins within the one of line 1"),
        (["1-3", "1-2"], "line 2: the multiword token begins within the one of line 1"),
        (
            ["3-4"],
            "line 3: the multiword token ends at word 4, and the sentence at word 3; right: a range of words that",
        ),
        (["1-9"], "line 1: the multiword token ends at word 9"),
        (["2-1"], "line 2: the ID '2-1'"),
        (["4-5"], "line 4: the multiword token ends at word 5, and the sentence at word 3"),
    ],
)
def test_multiword_tokens_that_overlap_or_go_beyond_the_sentence_are_refused(ranges, message):
    words = [f"{i}\tword\tword\tNOUN\t_\t_\t_\t_\t_\t_" for i in (1, 2, 3)]
    lines = []
    for i, word in enumerate([*words, None], start=1):
        lines += [f"{span}\twords" + "\t_" * 8 for span in ranges if span.startswith(str(i))]
        lines += [word] if word else []
    for end in ("", "\n\n" + "\n".join(words)):
        with pytest.raises(DataFileError, match=message):
            list(read("\n".join(lines) + end))
    with pytest.raises(DataFileError, match="ends at word 2, and the sentence at word 0"):
        list(read("1-2\twords" + "\t_" * 8 + "\n\n" + "\n".join(words)))


def test_reads_words_and_leaves_ranges_and_empty_nodes_out():
    first, second = read(TEXT)
    assert first.forms == ("I", "ca", "n't")
    assert first.words[0] == Word("I", "PRON", "PRP", "Number=Sing", "I")
    assert second.forms == ("#",)

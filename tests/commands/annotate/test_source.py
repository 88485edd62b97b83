from itertools import pairwise
from pathlib import Path

import pytest

from service.commands.annotate.rows import Chunk, Position, UnreadableInput
from service.commands.annotate.source import CHUNK_ROWS, Source


def write(folder: Path, content: bytes) -> Source:
    path = folder / "texts.txt"
    path.write_bytes(content)
    return Source(path)


def texts_of(chunk: Chunk) -> list[str]:
    return [row.text for row in chunk.rows]


def test_lines_come_in_order_and_each_once_from_wherever_one_begins(tmp_path):
    texts = [f"line {i} " + "word 🙂 " * (i % 50) for i in range(3000)]
    source = write(tmp_path, "\n".join(texts).encode())
    chunks = list(source.chunks(Position(), 10_000))
    assert [text for chunk in chunks for text in texts_of(chunk)] == texts
    assert [row.line for chunk in chunks for row in chunk.rows] == [*range(1, 3001)]
    assert len(chunks) > 10
    assert all(len(chunk.rows) <= CHUNK_ROWS for chunk in chunks)
    assert chunks[-1].end[:2] == (3000, source.size)
    for before, chunk in pairwise(chunks):
        assert before.end == chunk.start
        first = next(iter(source.chunks(before.end, 10_000)))
        assert first.rows[0] == chunk.rows[0]


def test_line_ends_of_all_systems_a_mark_at_the_beginning_and_blank_lines(tmp_path):
    (chunk,) = write(tmp_path, "\ufeffone\r\n\ntwo\u2028still two\n".encode()).chunks(Position(), 100)
    assert texts_of(chunk) == ["one", "", "two\u2028still two"]
    assert list(write(tmp_path, b"").chunks(Position(), 100)) == []


def test_a_line_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UnreadableInput, match=r"texts.txt, line 2: not UTF-8 at byte 3"):
        list(write(tmp_path, b"fine\nna\xefve\n").chunks(Position(), 100))
    for long in (b"a" * 11, b"a" * 10_000, "🙂".encode() * 11):
        with pytest.raises(UnreadableInput, match=r"line 2: longer than 10 characters.*TAGWERK_MAX_TEXT_CHARACTERS"):
            list(write(tmp_path, b"fine\n" + long + b"\nfine\n").chunks(Position(), 10))
    (chunk,) = write(tmp_path, "🙂".encode() * 10 + b"\r\n").chunks(Position(), 10)
    assert texts_of(chunk) == ["🙂" * 10]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnreadableInput, match=r"nowhere.txt cannot be read: No such file"):
        Source(tmp_path / "nowhere.txt").digest()
    with pytest.raises(UnreadableInput, match="Is a directory"):
        Source(tmp_path).digest()

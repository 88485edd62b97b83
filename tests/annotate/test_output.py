"""The output: whatever ends a run, the next one goes on behind the last line that is good."""

from contextlib import suppress
from pathlib import Path

import pytest

from service.annotate.output import Output, UnusableOutput
from service.annotate.source import Position

FACTS = {"model": "tagger/1", "input": [10, 20]}


def interrupted(path: Path, *, tail: bytes) -> None:
    """Leaves what a process leaves that is killed: three lines, of which two are kept, and something more."""
    with Output(path, FACTS) as output:
        output.write(b"one\n", Position(1, 5))
        output.write(b"two\n", Position(2, 10))
        output.keep()
        output.write(b"three\n", Position(3, 15))
        output.write(tail, Position(4, 20))
        output._file.flush()
        left = {file: file.read_bytes() for file in path.parent.iterdir()}
    for file, content in left.items():
        file.write_bytes(content)


@pytest.mark.parametrize("tail", [b"", b"fo", b"four\n"])
def test_a_run_goes_on_behind_what_is_good(tmp_path, tail):
    path = tmp_path / "out"
    interrupted(path, tail=tail)
    assert not path.exists(), "half a file has not its name"
    with Output(path, FACTS) as output:
        assert output.position == Position(2, 10)
        output.write(b"three\n", Position(3, 15))
        output.finish()
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    assert sorted(tmp_path.iterdir()) == [path]


def test_what_an_error_interrupts_is_kept(tmp_path):
    path = tmp_path / "out"
    with suppress(KeyboardInterrupt), Output(path, FACTS) as output:
        output.write(b"one\n", Position(1, 5))
        raise KeyboardInterrupt
    with Output(path, FACTS) as output:
        assert output.position == Position(1, 5)


def test_what_was_begun_with_something_else_is_left_alone(tmp_path):
    path = tmp_path / "out"
    interrupted(path, tail=b"")
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    for name in FACTS:
        with (
            pytest.raises(UnusableOutput, match=f"another {name}: remove it to start anew"),
            Output(path, FACTS | {name: "x"}),
        ):
            pass
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("record", [b"", b"{", b'{"facts": {}}'])
def test_a_record_that_cannot_be_read_starts_anew(tmp_path, record):
    path = tmp_path / "out"
    interrupted(path, tail=b"")
    (tmp_path / "out.progress").write_bytes(record)
    with Output(path, FACTS) as output:
        assert output.position == Position()
        output.write(b"new\n", Position(1, 5))
        output.finish()
    assert path.read_bytes() == b"new\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UnusableOutput, match=r"out.partial cannot be written: No such file"):
        Output(tmp_path / "nowhere" / "out", FACTS).__enter__()

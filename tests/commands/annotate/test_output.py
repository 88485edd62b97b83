"""The output: whatever ends a run, the next one goes on behind the last line that is good."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from service.commands.annotate.output import Output, remove_leftovers
from service.commands.annotate.records import FORMAT_VERSION, UnusableOutput
from service.commands.annotate.rows import Position

FACTS = {"task": "tag", "format": "jsonl", "model": "tagger/1", "input content": "ab12"}
LINES = [f"line {i}\n".encode() * (i % 3) for i in range(6)]  # some give nothing
WHOLE = b"".join(LINES)
CHANGES = ("write", "fsync", "ftruncate", "replace", "unlink")  # all by which a run changes the disk


def files_in(folder: Path) -> list[Path]:
    """Returns the files of a folder but manifests."""
    return sorted(path for path in folder.iterdir() if not path.name.endswith(".manifest.json"))


def interrupted(path: Path, *, tail: bytes = b"") -> None:
    """Leaves what a process leaves that is killed: three lines, of which two are kept, and something more."""
    with Output(path, FACTS) as output:
        output.write(b"one\n", Position(1, 5))
        output.write(b"two\n", Position(2, 10))
        output.checkpoint()
        output.write(b"three\n", Position(3, 15))
        output.write(tail, Position(4, 20))
        left = {file: file.read_bytes() for file in path.parent.iterdir()}
    for file, content in left.items():
        file.write_bytes(content)


def annotate(path: Path, facts: dict[str, str] | None = FACTS) -> None:
    """Does what `tagwerk annotate` does with its output, from where an earlier run has come to."""
    if path.exists():
        remove_leftovers(path)
        return
    with Output(path, facts) as output:
        for number in range(output.position.lines, len(LINES)):
            output.write(LINES[number], Position(number + 1, 10 * number))
            output.checkpoint()
        output.finish()


class Killed(BaseException):
    """Ends a run as SIGKILL does: nothing that runs after it changes the disk."""


@contextmanager
def killed_before(change: int, patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Ends the block at a change of the disk, of which the first is 0; a write is done by half. Yields the changes."""
    done: list[str] = []

    def replaced(name: str):
        original = getattr(os, name)

        def change_the_disk(*arguments, **options):
            if len(done) > change:
                raise Killed
            done.append(name)
            if len(done) > change:
                if name == "write":
                    original(arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise Killed
            return original(*arguments, **options)

        return change_the_disk

    with patch.context() as patched, suppress(Killed):
        for name in CHANGES:
            patched.setattr(os, name, replaced(name))
        yield done


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
    assert files_in(tmp_path) == [path]


def test_what_an_error_interrupts_is_kept(tmp_path):
    path = tmp_path / "out"
    with suppress(KeyboardInterrupt), Output(path, FACTS) as output:
        output.write(b"one\n", Position(1, 5))
        raise KeyboardInterrupt
    with Output(path, FACTS) as output:
        assert output.position == Position(1, 5)


def test_a_run_that_is_killed_at_any_change_of_the_disk_ends_in_the_same_file(tmp_path, monkeypatch):
    kills, seen = 0, set()
    for change in range(1000):
        path = tmp_path / str(change) / "out"
        path.parent.mkdir()
        with killed_before(change, monkeypatch) as done:
            annotate(path)
        seen |= set(done)
        kills += not path.exists()
        annotate(path)
        annotate(path)  # a run that was killed behind its renaming is done; one more tidies up behind it
        assert path.read_bytes() == WHOLE, f"killed at change {change}: {done}"
        assert files_in(path.parent) == [path]
        if len(done) <= change:  # it has run to its end
            break
    assert kills > 20
    assert seen == set(CHANGES)


def test_runs_that_are_killed_again_and_again_end_in_the_same_file(tmp_path, monkeypatch):
    for step in range(1, 12):
        path = tmp_path / str(step) / "out"
        path.parent.mkdir()
        for change in range(step, step + 60):
            with killed_before(change % 23, monkeypatch):
                annotate(path)
        annotate(path)
        annotate(path)
        assert path.read_bytes() == WHOLE
        assert files_in(path.parent) == [path]


@pytest.mark.parametrize("name", FACTS)
def test_what_was_begun_with_something_else_is_left_alone(tmp_path, name):
    path = tmp_path / "out"
    interrupted(path)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    message = rf"out.partial was begun with {name} {FACTS[name]}, not x: .*remove it to start anew"
    with pytest.raises(UnusableOutput, match=message), Output(path, FACTS | {name: "x"}):
        pass
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before
    (tmp_path / "out.partial").unlink()
    with Output(path, FACTS | {name: "x"}) as output:
        assert output.position == Position(), "as the message says"


def test_a_record_of_another_version_is_refused(tmp_path):
    path = tmp_path / "out"
    interrupted(path)
    old = {"facts": {"model": "tagger/1", "input": [10, 20]}, "input": [2, 10], "output_bytes": 8}
    for record in (old, old | {"format_version": FORMAT_VERSION + 1}):
        (tmp_path / "out.progress").write_text(json.dumps(record))
        with pytest.raises(UnusableOutput, match="begun with another version of tagwerk"), Output(path, FACTS):
            pass


GOOD = {"format_version": FORMAT_VERSION, "facts": FACTS, "input": [2, 10], "output_bytes": 8}
WRONG: list[dict[str, Any]] = [
    *({"input": [2]}, {"input": ["two", 10]}, {"input": [-2, 10]}, {"input": None}),
    *({"output_bytes": -1}, {"output_bytes": 9999}, {"output_bytes": "8x"}, {"facts": []}),
]


@pytest.mark.parametrize(
    "record",
    [
        *(b"", b"{", b"\xff\xfe", b"null", b"[" * 100_000, b'{"facts": {}}'),
        *(json.dumps(GOOD | wrong).encode() for wrong in WRONG),
    ],
    ids=lambda record: str(record[:60]),
)
def test_a_record_that_cannot_be_read_starts_anew(tmp_path, record):
    path = tmp_path / "out"
    interrupted(path)
    (tmp_path / "out.progress").write_bytes(record)
    with Output(path, FACTS) as output:
        assert output.position == Position()
        output.write(b"new\n", Position(1, 5))
        output.finish()
    assert path.read_bytes() == b"new\n"


def test_what_an_input_that_cannot_be_read_again_leaves_is_not_gone_on_with(tmp_path, monkeypatch):
    """A file, then a pipe, then the file again: the record of the first says nothing of what the second wrote."""
    path = tmp_path / "out"
    interrupted(path)
    with suppress(KeyboardInterrupt), Output(path, None) as output:
        output.write(b"something else, and long\n", Position(1, 5))
        raise KeyboardInterrupt
    with Output(path, FACTS) as output:
        assert output.position == Position()
        output.write(b"new\n", Position(1, 5))
        output.finish()
    assert path.read_bytes() == b"new\n"
    assert files_in(tmp_path) == [path]


def test_two_runs_do_not_write_the_same_output(tmp_path):
    path = tmp_path / "out"
    with Output(path, FACTS) as output:
        output.write(b"one\n", Position(1, 5))
        with pytest.raises(UnusableOutput, match="another run is writing it"), Output(path, FACTS):
            pass
        output.finish()
    assert path.read_bytes() == b"one\n"
    assert files_in(tmp_path) == [path]


def test_an_output_that_another_run_has_finished_meanwhile_stays(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"done\n")
    with pytest.raises(UnusableOutput, match="out has just been finished by another run"), Output(path, FACTS):
        pass
    assert path.read_bytes() == b"done\n"
    assert files_in(tmp_path) == [path]


def test_a_run_that_waited_for_the_lock_does_not_write_what_the_other_renamed(tmp_path, monkeypatch):
    """It has opened the partial file just before that became the output."""
    path, partial = tmp_path / "out", tmp_path / "out.partial"
    partial.write_bytes(b"done\n")
    monkeypatch.setattr("fcntl.flock", lambda file, how: partial.replace(path))
    with pytest.raises(UnusableOutput, match="out has just been finished by another run"), Output(path, FACTS):
        pass
    assert path.read_bytes() == b"done\n"


def test_an_output_that_appears_is_not_written_over(tmp_path):
    path = tmp_path / "out"
    with Output(path, FACTS) as output:
        output.write(b"one\n", Position(1, 5))
        path.write_bytes(b"mine\n")
        with pytest.raises(UnusableOutput, match=r"out has appeared meanwhile: the annotations are in .*out.partial"):
            output.finish()
    assert path.read_bytes() == b"mine\n"
    assert (tmp_path / "out.partial").read_bytes() == b"one\n"


@pytest.mark.parametrize("change", ["write", "fsync", "replace"])
def test_a_full_disk_is_an_error_after_which_the_run_goes_on(tmp_path, monkeypatch, change):
    """Whatever fails, at whichever of its calls: the next run, with room again, ends in the whole file."""
    messages = set()
    for call in range(40):
        path = tmp_path / str(call) / "out"
        path.parent.mkdir()
        original, calls = getattr(os, change), 0

        def full(*arguments, call=call, original=original):
            nonlocal calls
            calls += 1
            if calls > call:
                raise OSError(errno.ENOSPC, "No space left on device")
            if change == "write":  # which may write less than it was given
                return original(arguments[0], arguments[1][:3])
            return original(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(os, change, full)
            try:
                annotate(path)
            except UnusableOutput as error:
                messages.add(str(error).removeprefix(str(path)))
        annotate(path)
        assert path.read_bytes() == WHOLE
        assert files_in(path.parent) == [path]
    assert messages == {".partial cannot be written: No space left on device"}


def test_a_record_that_is_left_behind_is_removed_beside_a_complete_output_only(tmp_path):
    path, progress, partial = (tmp_path / name for name in ("out", "out.progress", "out.partial"))
    for file in (path, progress, partial):
        file.write_bytes(b"")
    remove_leftovers(path)
    assert progress.exists(), "another run is at it"
    partial.unlink()
    remove_leftovers(path)
    assert files_in(tmp_path) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UnusableOutput, match=r"out.partial cannot be written: No such file"):
        Output(tmp_path / "nowhere" / "out", FACTS).__enter__()
    with pytest.raises(UnusableOutput, match=r"partial cannot be written: File name too long"):
        Output(tmp_path / ("o" * 250), FACTS).__enter__()
    (tmp_path / "out.partial").mkdir()
    with pytest.raises(UnusableOutput, match=r"out.partial cannot be written: Is a directory"):
        Output(tmp_path / "out", FACTS).__enter__()

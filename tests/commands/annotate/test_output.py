"""The output: whatever ends a run, the next one goes on behind the last line that is good."""

import errno
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.commands.annotate.output import Output
from service.commands.annotate.records import RunManifest, UnusableOutput
from service.commands.annotate.rows import Chunk, Position, Rejected
from tests.commands.annotate.conftest import CHANGES, MOST_WRITTEN, files_in, killed_at

FACTS = {"task": "tag"}
LINES = [b"", b"line 1\n", b"x" * (2 * MOST_WRITTEN + 9), b"", b"line 4\n"]  # some give nothing, one several writes
WHOLE = b"".join(LINES)


def opened(path: Path, facts: dict[str, str] = FACTS) -> Output:
    return Output(path, RunManifest(facts=facts))


def chunk(lines: int) -> Chunk:
    """Returns a chunk that ends behind some lines, the first of which is a bad row."""
    bad = [Rejected(1, "bad", "x")] if lines == 1 else []
    return Chunk([], Position(), Position(lines, 5 * lines), rejected=bad)


def interrupted(path: Path) -> None:
    """Leaves what a process leaves that is killed: three lines, of which two are kept, and something more."""
    with opened(path) as output:
        output.write(b"one\n", chunk(1))
        output.write(b"two\n", chunk(2))
        kept = read_bytes(path.parent, ".manifest.json")
        output.write(b"three\n", chunk(3))
        left = {file: file.read_bytes() for file in path.parent.iterdir()} | kept
    for file, content in left.items():
        file.write_bytes(content)


def read_bytes(folder: Path, end: str = "") -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.iterdir() if path.name.endswith(end)}


def annotate(path: Path) -> None:
    """Does what `tagwerk annotate` does with its output, from where an earlier run has come to."""
    if path.exists():
        return
    with opened(path) as output:
        for number in range(output.manifest.position.lines, len(LINES)):
            output.write(LINES[number], chunk(number + 1))
        output.finish()


def assert_whole(path: Path, why: object = "") -> None:
    assert path.read_bytes() == WHOLE, why
    rejected = path.with_name("out.rejected.jsonl")
    assert rejected.read_bytes() == b'{"line":1,"reason":"bad","content":"x","lines":1}\n', why
    assert files_in(path.parent) == [path, rejected], why


def test_a_run_that_is_killed_at_any_change_of_the_disk_ends_in_the_same_file(tmp_path, monkeypatch):
    kills, seen = 0, set()
    for change in range(1000):
        path = tmp_path / str(change) / "out"
        with killed_at(change, monkeypatch) as done:
            annotate(path)
        seen |= set(done)
        kills += not path.exists()
        annotate(path)
        assert_whole(path, f"killed at change {change}: {done}")
        if len(done) <= change:  # it has run to its end
            break
    assert kills > 20
    assert seen == set(CHANGES)


GOOD: dict[str, Any] = json.loads(
    msgspec.json.encode(RunManifest(facts=FACTS, lines=2, input_bytes=10, partial_bytes=8))
)
WRONG: dict[str, Any] = {"lines": "two", "rows": -2, "partial_bytes": 9999, "rejected_bytes": 9999, "facts": []}


@pytest.mark.parametrize(
    "manifest",
    [
        *(b"", b"{", b"\xff\xfe", b"null", b"[" * 100_000, b'{"facts": {}}'),
        *(json.dumps(GOOD | {name: value}).encode() for name, value in WRONG.items()),
    ],
    ids=lambda manifest: str(manifest[:60]),
)
def test_a_manifest_that_cannot_be_read_starts_anew(tmp_path, manifest):
    path = tmp_path / "out"
    interrupted(path)
    (tmp_path / "out.manifest.json").write_bytes(manifest)
    annotate(path)
    assert_whole(path)


def test_what_an_input_that_cannot_be_read_again_leaves_is_not_gone_on_with(tmp_path):
    """A file, then a pipe, then the file again: the manifest of the first says nothing of what the second wrote."""
    path = tmp_path / "out"
    interrupted(path)
    with suppress(KeyboardInterrupt), opened(path, {}) as output:
        output.write(b"something else, and long\n", chunk(1))
        raise KeyboardInterrupt
    annotate(path)
    assert_whole(path)


def test_two_runs_do_not_write_the_same_output(tmp_path, monkeypatch):
    path, partial = tmp_path / "out", tmp_path / "out.partial"
    with opened(path) as output:
        output.write(b"one\n", chunk(2))
        with pytest.raises(UnusableOutput, match="another run is writing it"), opened(path):
            pass
        output.finish()
    with pytest.raises(UnusableOutput, match="out has just been finished by another run"), opened(path):
        pass
    assert path.read_bytes() == b"one\n"
    assert files_in(tmp_path) == [path]
    path.rename(partial)  # one that has opened the partial file just before that became the output
    monkeypatch.setattr("fcntl.flock", lambda file, how: partial.replace(path))
    with pytest.raises(UnusableOutput, match="out has just been finished by another run"), opened(path):
        pass
    assert path.read_bytes() == b"one\n"


def test_an_output_that_appears_is_not_written_over(tmp_path):
    path = tmp_path / "out"
    with opened(path) as output:
        output.write(b"one\n", chunk(1))
        path.write_bytes(b"mine\n")
        with pytest.raises(UnusableOutput, match=r"out has appeared meanwhile: the annotations are in .*out.partial"):
            output.finish()
    assert path.read_bytes() == b"mine\n"
    assert (tmp_path / "out.partial").read_bytes() == b"one\n"


def test_a_full_disk_is_an_error_after_which_the_run_goes_on(tmp_path, monkeypatch):
    """Whatever fails, and all after it: the next run, with room again, ends in the whole file."""
    messages = set()
    for change in range(1000):
        path = tmp_path / str(change) / "out"
        with killed_at(change, monkeypatch, OSError(errno.ENOSPC, "No space left on device")) as done:
            try:
                annotate(path)
            except UnusableOutput as error:
                messages.add(str(error).removeprefix(str(path)))
        annotate(path)
        assert_whole(path, f"failed at change {change}: {done}")
        if len(done) <= change:  # it has run to its end
            break
    assert messages == {".partial cannot be written: No space left on device"}


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "out.partial").mkdir()
    for name, problem in (("file/out", "Not a directory|File exists"), ("o" * 250, "File name too long")):
        with pytest.raises(UnusableOutput, match=rf"partial cannot be written: {problem}"):
            opened(tmp_path / name).__enter__()
    with pytest.raises(UnusableOutput, match=r"out.partial cannot be written: Is a directory"):
        opened(tmp_path / "out").__enter__()

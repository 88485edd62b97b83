"""The cache of executables: which process compiles which model, and a folder that cannot be used."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from service.backend import cache
from service.backend.cache import NO_CACHE, ExecutableCache
from service.types import ModelKey

FIRST, SECOND = ModelKey("tagger", "1"), ModelKey("lm", "1")
GRAPHS = {FIRST: "one graph", SECOND: "another"}


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


TABLES = {"projected": np.full((3, 5), 7, np.int8), "scales": np.ones((3, 2), np.float32)}
MODULE = "module {\n" + "%0 = stablehlo.add %a, %b\n" * 100 + "}\n"
kinds = pytest.mark.parametrize(
    ("kind", "content", "other"), [("tables", TABLES, {}), ("module", MODULE, "another")], ids=["tables", "module"]
)


@kinds
@pytest.mark.parametrize(
    ("damage", "made"),
    [
        (lambda path: None, 1),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), 2),
        (change, 2),
        (lambda path: path.write_bytes(b"\xff\xfe"), 2),
        (lambda path: path.write_bytes(b""), 2),
        (lambda path: path.unlink(), 2),
    ],
    ids=["whole", "truncated", "changed", "of another kind", "empty", "removed"],
)
def test_what_a_start_needs_is_made_once_unless_its_file_is_damaged(tmp_path, damage, made, kind, content, other):
    calls = []

    def make() -> Any:
        calls.append(1)
        return content

    executables = ExecutableCache(tmp_path)
    executables.place.mkdir()
    getattr(executables, kind)("of another", lambda: other)
    found = [getattr(executables, kind)("a model", make)]
    damage(max(executables.place.iterdir(), key=lambda path: path.stat().st_size))
    found.append(getattr(ExecutableCache(tmp_path), kind)("a model", make))
    assert len(calls) == made
    for one in found:
        np.testing.assert_equal(one, content)
        assert kind == "module" or [table.dtype for table in one.values()] == [np.int8, np.float32]


@kinds
def test_what_a_start_needs_is_made_where_there_is_no_folder_or_it_cannot_be_written(tmp_path, kind, content, other):
    (tmp_path / "file").write_text("")
    for executables in (NO_CACHE, ExecutableCache(tmp_path / "file")):
        np.testing.assert_equal(getattr(executables, kind)("a model", lambda: content), content)


def never() -> bool:
    return False


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Returns the list of the pauses, none of which takes any time."""
    pauses: list[float] = []
    monkeypatch.setattr(cache, "time", SimpleNamespace(sleep=pauses.append))
    return pauses


def test_each_process_takes_the_first_model_that_no_other_compiles(tmp_path):
    folder = tmp_path / "executables"  # is made
    one, other = ExecutableCache(folder), ExecutableCache(folder)
    with one.first_free(GRAPHS, never) as first:
        assert first == FIRST
        with other.first_free(GRAPHS, never) as second:
            assert second == SECOND
    with other.first_free(GRAPHS, never) as again:
        assert again == FIRST


def test_models_of_one_graph_are_compiled_by_one_process_and_then_loaded_by_each_without_waiting(tmp_path, pauses):
    third = ModelKey("tagger-sv", "1")
    graphs = GRAPHS | {third: GRAPHS[FIRST]}
    one, other = ExecutableCache(tmp_path), ExecutableCache(tmp_path)
    with one.first_free(graphs, never), other.first_free({third: GRAPHS[FIRST], **GRAPHS}, never) as key:
        assert key == SECOND, "the other compiles another graph meanwhile"
    with other.first_free(graphs, never), one.first_free({third: GRAPHS[FIRST]}, never) as key:
        assert key == third
    assert not pauses


def test_a_process_waits_while_all_of_its_models_are_compiled_by_others_unless_it_stops(tmp_path, pauses):
    with ExecutableCache(tmp_path).first_free({FIRST: "one graph"}, never), ExitStack() as other:
        other.enter_context(ExecutableCache(tmp_path).first_free({SECOND: "another"}, never))

        def release() -> bool:
            if len(pauses) == 3:
                other.close()
            return False

        with ExecutableCache(tmp_path).first_free(GRAPHS, release) as key:
            assert (key, pauses) == (SECOND, [cache.PAUSE_SECONDS] * 3)
        pauses.clear()
        with ExecutableCache(tmp_path).first_free({FIRST: "one graph"}, lambda: len(pauses) == 2) as key:
            assert (key, len(pauses)) == (FIRST, 2)


def test_without_a_cache_nothing_is_locked():
    with NO_CACHE.first_free(GRAPHS, never) as one, NO_CACHE.first_free(GRAPHS, never) as other:
        assert one == other == FIRST


def read_only(path: Path, mode: str = "r") -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


def cannot_lock(file: int, operation: int) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.mark.parametrize(
    ("owner", "name", "fail", "reason"),
    [(Path, "open", read_only, "Read-only file system"), (fcntl, "flock", cannot_lock, "No locks available")],
    ids=["read-only", "without locks"],
)
def test_where_files_cannot_be_locked_models_are_compiled_without(
    owner, name, fail, reason, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(owner, name, fail)
    with ExecutableCache(tmp_path).first_free(GRAPHS, never) as key:
        assert key == FIRST
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("models are compiled without a lock: ")
    assert reason in record.getMessage()


def test_an_error_in_the_block_is_not_one_of_the_locks(tmp_path, caplog):
    with pytest.raises(OSError, match="of the block"), ExecutableCache(tmp_path).first_free(GRAPHS, never):
        raise OSError("of the block")
    assert not caplog.records


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restores the variables that a cache sets."""
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/tmp")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.mark.usefixtures("flags")
@pytest.mark.parametrize("cached", [True, False])
def test_flags_of_the_environment_stand_behind_those_of_the_service(cached, tmp_path):
    for _ in range(2):
        ExecutableCache(tmp_path if cached else None).configure()
        assert os.environ["XLA_FLAGS"] == f"{cache.XLA_FLAGS} --xla_dump_to=/tmp"


@pytest.mark.usefixtures("flags")
def test_executables_are_cached_in_a_folder_for_this_processor(tmp_path, monkeypatch):
    places = []
    for processor in ("one", "another", "one"):
        monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")
        monkeypatch.setattr(cache, "_processor", lambda name=processor: name)
        ExecutableCache(tmp_path).configure()
        given, directory = os.environ["TF_XLA_FLAGS"].split()
        assert given == "--tf_xla_auto_jit=0"
        places.append(Path(directory.removeprefix("--tf_xla_persistent_cache_directory=")))
    assert {place.parent for place in places} == {tmp_path}
    assert places[0] == places[2] != places[1]
    assert all(place.is_dir() and not list(place.iterdir()) for place in places)


@pytest.mark.usefixtures("flags")
@pytest.mark.parametrize("fault", ["a file", "read-only"])
def test_a_folder_that_cannot_be_used_is_a_warning_and_nothing_is_cached(fault, tmp_path, monkeypatch, caplog):
    folder = tmp_path / "executables"
    if fault == "a file":
        folder.touch()
    else:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: read_only(dir))
    ExecutableCache(folder).configure()
    assert os.environ["TF_XLA_FLAGS"] == "--tf_xla_auto_jit=0"
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "each start compiles them" in record.getMessage()
    assert "TAGWERK_XLA_CACHE" in record.getMessage()


def cached(folder: Path, *names: str) -> Path:
    """Returns the folder of executables, with some of which the checksums are recorded."""
    ExecutableCache(folder).configure()
    (place,) = folder.iterdir()
    for name in names:
        (place / f"{name}.pb").write_bytes(name.encode() * 1000)
    ExecutableCache(folder).record()
    return place


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, 10),
    "empty": lambda path: os.truncate(path, 0),
    "overwritten": lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]),
    "without a checksum": lambda path: path.with_suffix(".sha256").unlink(),
    "with half a checksum": lambda path: os.truncate(path.with_suffix(".sha256"), 7),
    "with a damaged checksum": lambda path: path.with_suffix(".sha256").write_bytes(b"\xff"),
}


@pytest.mark.usefixtures("flags")
@pytest.mark.parametrize("damage", DAMAGES)
def test_an_executable_that_is_damaged_is_removed_alone_and_recorded_again_once_it_is_compiled(
    damage, tmp_path, caplog
):
    place = cached(tmp_path, "one", "two")
    DAMAGES[damage](place / "one.pb")
    ExecutableCache(tmp_path).configure()
    assert sorted(path.name for path in place.iterdir()) == ["two.pb", "two.sha256"]
    assert caplog.messages == ["cached executables that are damaged, and are compiled again: 1"]
    place = cached(tmp_path, "one")
    assert len(list(place.iterdir())) == 4


@pytest.mark.usefixtures("flags")
def test_where_checksums_cannot_be_written_executables_are_compiled_again_at_the_next_start(tmp_path, monkeypatch):
    place = cached(tmp_path)
    (place / "one.pb").write_bytes(b"machine code")
    with monkeypatch.context() as patch:
        patch.setattr(cache, "write_whole", lambda path, content: read_only(path))
        ExecutableCache(tmp_path).record()
    ExecutableCache(tmp_path).configure()
    assert list(place.iterdir()) == []

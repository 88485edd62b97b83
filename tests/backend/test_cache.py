"""The cache of executables: which process compiles which model, and a folder that cannot be used."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable
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


file_damages = pytest.mark.parametrize(
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


@file_damages
def test_tables_are_computed_once_for_a_model_unless_their_file_is_damaged(tmp_path, damage, made):
    calls = []

    def compute() -> dict[str, Any]:
        calls.append(1)
        return {"projected": np.full((3, 5), 7, np.int8), "scales": np.ones((3, 2), np.float32)}

    executables = ExecutableCache(tmp_path)
    executables.place.mkdir()
    executables.tables("of another", dict)
    first = executables.tables("a model", compute)
    damage(max(executables.place.glob("*.npz"), key=lambda path: path.stat().st_size))
    again = ExecutableCache(tmp_path).tables("a model", compute)
    assert len(calls) == made
    for name, table in compute().items():
        assert again[name].dtype == table.dtype
        assert np.array_equal(again[name], table)
        assert np.array_equal(first[name], table)


def test_tables_are_computed_where_there_is_no_folder_or_it_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for executables in (NO_CACHE, ExecutableCache(tmp_path / "file")):
        assert executables.tables("a model", lambda: {"projected": np.zeros(2)})["projected"].shape == (2,)


@file_damages
def test_a_module_is_made_once_unless_its_file_is_damaged(tmp_path, damage, made):
    module = "module {\n" + "%0 = stablehlo.add %a, %b\n" * 100 + "}\n"
    calls = []

    def make() -> str:
        calls.append(1)
        return module

    executables = ExecutableCache(tmp_path)
    executables.place.mkdir()
    assert executables.module("0" * 64, lambda: "another") == "another"
    assert executables.module("1" * 64, make) == module
    damage(max(executables.place.iterdir(), key=lambda path: path.stat().st_size))
    assert ExecutableCache(tmp_path).module("1" * 64, make) == module
    assert len(calls) == made


def test_a_module_is_made_where_there_is_no_folder_or_it_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for executables in (NO_CACHE, ExecutableCache(tmp_path / "file")):
        assert executables.module("0" * 64, lambda: "module {}") == "module {}"


def never() -> bool:
    return False


def wait_with(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> list[float]:
    """Calls a function in place of each pause; returns the list of the pauses."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        call()

    monkeypatch.setattr(cache, "time", SimpleNamespace(sleep=sleep))
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


def test_models_of_one_graph_are_compiled_by_one_process_and_then_loaded_by_each_without_waiting(tmp_path, monkeypatch):
    third = ModelKey("tagger-sv", "1")
    graphs = GRAPHS | {third: GRAPHS[FIRST]}
    one, other = ExecutableCache(tmp_path), ExecutableCache(tmp_path)
    with one.first_free(graphs, never), other.first_free({third: GRAPHS[FIRST], **GRAPHS}, never) as key:
        assert key == SECOND, "the other compiles another graph meanwhile"
    pauses = wait_with(monkeypatch, lambda: None)
    with other.first_free(graphs, never), one.first_free({third: GRAPHS[FIRST]}, never) as key:
        assert key == third
    assert not pauses


def test_a_process_waits_while_all_of_its_models_are_compiled_by_others(tmp_path, monkeypatch):
    other = ExecutableCache(tmp_path).first_free({SECOND: "another"}, never)
    other.__enter__()

    def release() -> None:
        if len(pauses) == 3:
            other.__exit__(None, None, None)

    pauses = wait_with(monkeypatch, release)
    with ExecutableCache(tmp_path).first_free({SECOND: "another"}, never) as key:
        assert key == SECOND
        assert pauses == [cache.PAUSE_SECONDS] * 3


def test_a_process_that_stops_waits_no_longer(tmp_path, monkeypatch):
    pauses = wait_with(monkeypatch, lambda: None)
    with (
        ExecutableCache(tmp_path).first_free({FIRST: "one graph"}, never),
        ExecutableCache(tmp_path).first_free({FIRST: "one graph"}, lambda: len(pauses) == 2) as key,
    ):
        assert key == FIRST
        assert len(pauses) == 2


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

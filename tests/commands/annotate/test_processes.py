"""Several processes: they write what one writes, whatever ends them."""

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.artifact.files import COPY, private_folder
from service.commands.annotate import processes
from service.commands.annotate.output import Output
from service.commands.annotate.processes import (
    GROUP,
    GROUP_CHARACTERS,
    WORTH,
    Processes,
    for_files,
    grouped,
    most_processes,
)
from service.commands.annotate.rows import Chunk, Position, Row
from service.errors import ArtifactError
from service.process import process_count
from service.settings import Settings
from tests.commands.annotate.conftest import SETTINGS, files_in, job, manifest_of, rejected_of, run, write
from tests.commands.annotate.test_runs import draw_input
from tests.http.scene import classifier
from tests.in_process import use_test_device

started, annotated = processes.start, processes.annotate


def start(marks: Path, how: str, *arguments: Any) -> None:
    """Starts a new process on the test device, where it leaves a mark for each group, and perhaps fails."""
    if how == "is refused":
        raise ArtifactError("not today")
    use_test_device(pytest.MonkeyPatch())
    processes.annotate = partial(annotate, marks, how)
    started(*arguments)


def annotate(marks: Path, how: str, *arguments: Any) -> list[bytes]:
    (marks / str(time.monotonic_ns())).touch()
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return annotated(*arguments)


@pytest.fixture
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("marks")


@pytest.fixture
def use_workers(monkeypatch, marks) -> Callable[[str], None]:
    """Returns what has further processes start whatever the size, and this one wait until they are at work, or fail."""
    here, left_out = processes.annotate_together, Processes._leave_out

    async def wait_first(*arguments: Any) -> list[bytes]:
        while not any(marks.iterdir()):
            await asyncio.sleep(0.01)
        return await here(*arguments)

    def leave_out(self: Processes, *arguments: Any) -> None:
        (marks / "left out").touch()
        left_out(self, *arguments)

    def use(how: str = "works") -> None:
        monkeypatch.setattr(processes, "WORTH", dict.fromkeys(WORTH, 1))
        monkeypatch.setattr(processes, "GROUP", 4)  # so that small files have groups for both
        monkeypatch.setattr(processes, "start", partial(start, marks, how))
        monkeypatch.setattr(processes, "annotate_together", wait_first)
        monkeypatch.setattr(Processes, "_leave_out", leave_out)

    return use


@pytest.mark.parametrize(
    ("kind", "task", "form"),
    [("text", "classify", "csv"), ("csv", "tag", "jsonl"), ("conllu", "tag", "conllu"), ("jsonl", "tag", "parquet")],
)
def test_the_bytes_bad_rows_and_manifest_are_those_of_one_process(
    tmp_path, monkeypatch, use_workers, marks, kind, task, form
):
    """Also if the run is interrupted, and goes on with another number of processes."""
    monkeypatch.setattr("service.commands.annotate.source.CHUNK_ROWS", 1)
    path = draw_input(random.Random(3), kind, tmp_path)
    one, two, both = (tmp_path / name for name in ("one", "two", "both"))
    run_ = partial(run, path, task=task, form=form, allow_bad_rows=True)
    assert run_(output=one) == 0
    written, original = 0, Output.write

    def stop(output: Output, *arguments: Any) -> None:
        nonlocal written
        original(output, *arguments)
        written += 1
        if written == 3:
            raise KeyboardInterrupt

    use_workers()
    with monkeypatch.context() as patch:
        patch.setattr(Output, "write", stop)
        assert run_(output=both, processes=2) == 130
    for mark in marks.iterdir():
        mark.unlink()  # so the next run waits for its own process
    assert run_(output=two, processes=2) == 0
    assert any(marks.iterdir()), "a group that the other process annotated"
    assert run_(output=both, processes=1) == 0
    for other in (two, both):
        assert other.read_bytes() == one.read_bytes()
        assert rejected_of(other) == rejected_of(one)
        assert msgspec.structs.replace(manifest_of(other), output="one") == manifest_of(one)


@pytest.mark.parametrize(("how", "said"), [("dies", "exit status -9"), ("is refused", "not today")])
def test_what_a_process_that_fails_had_is_annotated_by_the_others(
    tmp_path, monkeypatch, use_workers, capsys, how, said
):
    monkeypatch.setattr("service.commands.annotate.source.CHUNK_ROWS", 2)
    path = write(tmp_path, "texts.txt", "".join(f"Text {i}.\n" for i in range(200)))
    assert run(path, output=tmp_path / "one", processes=1) == 0
    use_workers(how)
    assert run(path, output=tmp_path / "two", processes=2) == 0
    assert (tmp_path / "two").read_bytes() == (tmp_path / "one").read_bytes()
    assert f"goes on without a process ({said}): the others annotate what it had" in capsys.readouterr().err
    assert files_in(tmp_path) == [tmp_path / "one", path, tmp_path / "two"]


def folder_of(settings: Settings, versions: object, defaults: object, folder: str) -> str:
    """Takes the place of `start` in another process."""
    return folder


@pytest.mark.parametrize(
    ("size", "most", "number"),
    [(0, 4, 1), (2 * WORTH["classify"] - 1, 4, 1), (2 * WORTH["classify"], 4, 2), (10**12, 4, 4), (10**12, 1, 1)],
)
async def test_processes_are_started_where_they_pay(monkeypatch, size, most, number):
    class Started:
        def __init__(self, settings: Settings, *arguments: Any) -> None:
            if settings.host == "nowhere":
                raise OSError(11, "Resource temporarily unavailable")
            self.started = asyncio.sleep(0)

        def close(self) -> None: ...

    monkeypatch.setattr(processes, "WorkerProcess", Started)

    for settings, wanted in ((SETTINGS, number), (Settings(host="nowhere"), 1)):  # where none can be started
        found = Processes(settings, [classifier()], job(processes=most), print)
        await found.start(size)
        assert 1 + len(found._workers) == wanted
        await found.close()


@pytest.mark.parametrize(
    ("row", "sizes"),
    [
        (Row(1, "a short text"), [GROUP, GROUP, 3]),
        (Row(1, "a" * (GROUP_CHARACTERS // 4)), [4] * 8 + [3]),
        (Row(1, "", ["a" * (GROUP_CHARACTERS // 4)] * 2), [2] * 17 + [1]),
    ],
    ids=["short", "long", "tokens"],
)
def test_groups_are_of_so_many_chunks_or_of_so_many_characters(row, sizes):
    chunks = [Chunk([row], Position(i), Position(i + 1)) for i in range(2 * GROUP + 3)]
    groups = list(grouped(chunks))
    assert [len(group) for group in groups] == sizes
    assert list(chain.from_iterable(groups)) == chunks


@pytest.mark.parametrize(("longest", "sizes", "rows"), [(160, (1, 16), 96), (400, (1, 16), 40), (160, (1, 128), 128)])
def test_batches_have_one_size_whose_words_fit_the_table(longest, sizes, rows):
    version = classifier()
    version = replace(version, manifest=version.manifest.model_copy(update={"length_buckets": (8, longest)}))
    assert for_files(Settings(batch_sizes=sizes), [version]).batch_sizes == (rows,)


def test_the_temporary_folder_of_a_process_is_one_that_a_later_run_removes(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(processes, "start", folder_of)

    async def started() -> tuple[processes.WorkerProcess, Path]:
        worker = processes.WorkerProcess(Settings(), [], {})
        return worker, Path(str(await worker.started))  # type: ignore[func-returns-value]

    worker, used = asyncio.run(started())
    assert used.name.startswith(COPY)
    with private_folder():
        assert used.is_dir(), "but not while this one goes on"
    worker.close()
    assert not used.exists()


def test_the_number_is_that_of_the_job_the_settings_or_the_machine(monkeypatch):
    monkeypatch.setattr(process_count, "usable_cores", lambda: 3)
    monkeypatch.setattr(process_count, "usable_megabytes", lambda: 64_000.0)
    assert most_processes(Settings(device="cpu"), job()) == 3
    assert most_processes(Settings(device="gpu"), job()) == 1
    assert most_processes(Settings(device="gpu", processes=2), job()) == 2
    assert most_processes(Settings(processes=2), job(processes=5)) == 5

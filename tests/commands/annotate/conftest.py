"""Runs of `tagwerk annotate` in this process, on a test device that gives all texts one result."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from service.commands.annotate import output as output_module
from service.commands.annotate.command import annotate
from service.commands.annotate.job import Job
from service.commands.annotate.records import RunManifest, read_run_manifest
from service.settings import Settings
from tests.in_process import use_test_device

SETTINGS = Settings(batch_sizes=(8,), max_text_characters=100)
SCORES = {"bad": 0.25, "good": 0.75}
MOST_WRITTEN = 2**16  # bytes, in one write
CHANGES = ("write", "fsync", "ftruncate", "replace", "unlink")  # all by which a run changes the disk


@pytest.fixture(autouse=True)
def engine(request, monkeypatch) -> list[str]:
    """Has each run use an engine on a test device, and keep every chunk. Returns the models of engines started."""
    monkeypatch.setattr(output_module, "CHECKPOINT_SECONDS", 0.0)
    return use_test_device(monkeypatch)


def job(*files: Path, task: str = "classify", form: Any = "jsonl", **options: Any) -> Job:
    return Job(files, task, form, **options)


def run(*files: Path, **options: Any) -> int:
    """Annotates files; returns the exit status."""
    return annotate(options.pop("settings", SETTINGS), job(*files, **options))


def output_of(path: Path, task: str = "classify", form: str = "jsonl") -> Path:
    return path.with_name(f"{path.name}.{task}.{form}")


def content_of(path: Path, task: str = "classify", form: str = "jsonl", **options: Any) -> str:
    """Annotates a file; returns the output."""
    assert run(path, task=task, form=form, **options) == 0
    return output_of(path, task, form).read_bytes().decode()


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def objects(content: str | Path) -> list[dict[str, Any]]:
    """Returns the objects of JSON Lines; none of a file that is not there."""
    if isinstance(content, Path):
        content = content.read_text() if content.exists() else ""
    return [json.loads(line) for line in content.splitlines()]


def rejected_of(output: Path) -> list[dict[str, Any]]:
    """Returns the bad rows that an output leaves out."""
    return objects(output.with_name(f"{output.name}.rejected.jsonl"))


def manifest_of(output: Path) -> RunManifest:
    found = read_run_manifest(output)
    assert found is not None
    return found


def files_in(folder: Path) -> list[Path]:
    """Returns the files of a folder but manifests."""
    return sorted(path for path in folder.iterdir() if not path.name.endswith(".manifest.json"))


class Killed(BaseException):
    """Ends a run as SIGKILL does: nothing that runs after it changes the disk."""


@contextmanager
def killed_at(
    change: int, patch: pytest.MonkeyPatch, error: BaseException | type[BaseException] = Killed
) -> Iterator[list[str]]:
    """Ends the block at a change of the disk, of which the first is 0; a write is done by half. Yields the changes.

    With another `error`, that change and all further ones raise it. Long contents take several writes.
    """
    done: list[str] = []

    def replaced(name: str):
        original = getattr(os, name)

        def change_the_disk(*arguments, **options):
            if len(done) > change:
                raise error
            done.append(name)
            is_last = len(done) > change
            if name == "write":
                file, content = arguments
                arguments = (file, content[: len(content) // 2 if is_last else MOST_WRITTEN])
            made = original(*arguments, **options) if name == "write" or not is_last else None
            if is_last:
                raise error
            return made

        return change_the_disk

    with patch.context() as patched, suppress(Killed):
        for name in CHANGES:
            patched.setattr(os, name, replaced(name))
        yield done

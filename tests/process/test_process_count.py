"""How many server processes there are: by the option, the cores, the memory, the control group or the GPU."""

import os
from pathlib import Path
from typing import Any

import pytest

from service.process import process_count as module
from service.process.process_count import process_count, usable_cores, usable_megabytes
from service.settings import MOST_PROCESSES, Settings

GIGABYTE = 10**9


class Machine:
    """A machine without control groups, whose cores and memory a test sets."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = patch
        self.groups = folder / "cgroup"
        self.gpus = folder / "gpus"
        self.groups.mkdir()
        patch.setattr(module, "CGROUP", self.groups)
        patch.setattr(module, "GPUS", self.gpus)
        self.of(4, 64)

    def of(self, cores: int, gigabytes: float) -> None:
        pages = {"SC_PHYS_PAGES": int(gigabytes * GIGABYTE / 4096), "SC_PAGE_SIZE": 4096}
        self._patch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
        self._patch.setattr(os, "sysconf", pages.__getitem__)

    def limit(self, name: str, content: object) -> None:
        """Writes a file of a control group."""
        path = self.groups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")

    def own_group(self, path: str) -> None:
        """Sets the control group of this process, of version 2."""
        read = Path.read_text

        def read_text(self: Path, *arguments: Any, **more: Any) -> str:
            return f"0::{path}\n" if str(self) == "/proc/self/cgroup" else read(self, *arguments, **more)

        self._patch.setattr(Path, "read_text", read_text)


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Machine:
    return Machine(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    ("cores", "gigabytes", "number", "reason"),
    [
        (1, 64, 1, "one for each core"),
        (4, 64, 4, "one for each core"),
        (8, 4.6, 4, "as many as fit 4600 MB of memory, 900 MB each, with one more for a rollout"),
        (2, 1, 1, "as many as fit 1000 MB of memory, 900 MB each, with one more for a rollout"),
        (1, 0.5, 1, "one for each core"),
        (128, 1024, MOST_PROCESSES, "the most; cores: 128"),
        (128, 64, MOST_PROCESSES, "the most; cores: 128"),
        (128, 32, 34, "as many as fit 32000 MB of memory, 900 MB each, with one more for a rollout"),
    ],
)
def test_cores_and_memory_decide(machine, cores, gigabytes, number, reason):
    machine.of(cores, gigabytes)
    assert process_count(Settings(processes=0)) == (number, reason)


def test_the_option_comes_before_all_else(machine):
    machine.gpus.mkdir()
    machine.of(2, 1)
    assert process_count(Settings(processes=7)) == (7, "TAGWERK_PROCESSES")


@pytest.mark.parametrize(
    ("device", "there", "number"), [("auto", True, 2), ("auto", False, 4), ("gpu", False, 2), ("cpu", True, 4)]
)
def test_processes_share_a_gpu(machine, device, there, number):
    if there:
        machine.gpus.mkdir()
    found = process_count(Settings(processes=0, device=device))
    assert found == (number, "which share the GPU" if number == 2 else "one for each core")


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 4), ("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1), ("", 4)]
)
def test_a_quota_of_the_control_group_counts(machine, quota, cores):
    machine.limit("cpu.max", quota)
    assert usable_cores() == cores


def test_the_limits_of_its_own_group_and_of_those_above_it_count(machine):
    machine.own_group("/system.slice/tagwerk.service")
    machine.limit("cpu.max", "max 100000")
    machine.limit("system.slice/cpu.max", "300000 100000")
    machine.limit("system.slice/tagwerk.service/cpu.max", "max 100000")
    machine.limit("system.slice/memory.max", "max")
    machine.limit("system.slice/tagwerk.service/memory.max", 5 * GIGABYTE)
    assert usable_cores() == 3
    assert usable_megabytes() == 5000

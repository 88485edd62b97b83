"""Determines how many server processes a service has."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from service.settings import MOST_PROCESSES, Settings

PROCESS_MEGABYTES = 900  # of a process that has served the models of this repository for long, see docs/results.md
GPU_PROCESSES = 2  # one reads texts while the other's step runs
CGROUP = Path("/sys/fs/cgroup")
GPUS = Path("/proc/driver/nvidia/gpus")


def process_count(settings: Settings) -> tuple[int, str]:
    """Returns the number of server processes by the settings, or by the cores, the memory and the GPU; and why."""
    if settings.processes:
        return settings.processes, "TAGWERK_PROCESSES"
    if uses_gpu(settings):
        return GPU_PROCESSES, "which share the GPU"
    cores, megabytes = usable_cores(), usable_megabytes()
    fitting = max(1, int(megabytes / PROCESS_MEGABYTES) - 1)  # one more is needed while new versions are loaded
    if fitting < min(cores, MOST_PROCESSES):
        each = f"{PROCESS_MEGABYTES} MB each, with one more for a rollout"
        return fitting, f"as many as fit {megabytes:.0f} MB of memory, {each}"
    if cores > MOST_PROCESSES:
        return MOST_PROCESSES, f"the most; cores: {cores}"
    return cores, "one for each core"


def uses_gpu(settings: Settings) -> bool:
    """Returns whether models run on a GPU."""
    return settings.device == "gpu" or (settings.device == "auto" and GPUS.is_dir())


def usable_cores() -> int:
    """Returns how many cores this process may use: by its affinity, and its control group's quota."""
    cores = len(os.sched_getaffinity(0))
    for folder in _groups():
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max":
                cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def usable_megabytes() -> float:
    """Returns the memory that this process may use: the machine's, or its control group's limit."""
    megabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    for folder in _groups():
        with suppress(OSError, ValueError):  # "max" is no number
            megabytes = min(megabytes, int((folder / "memory.max").read_text()) / 1e6)
    return megabytes


def _groups() -> Iterator[Path]:
    """Yields the folders of this process's control group and of those above it (version 2)."""
    yield CGROUP
    with suppress(OSError, IndexError):
        own = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        folder = CGROUP / own[3:].lstrip("/")
        while folder != CGROUP and CGROUP in folder.parents:
            yield folder
            folder = folder.parent

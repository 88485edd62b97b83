"""The resident memory of processes and its peak, in bytes, as the kernel counts them."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

SETTLING_SECONDS = 30
SETTLED_BYTES = 1_000_000  # more in a second

Bytes = dict[int, int]  # by process


def resident(pids: Iterable[int]) -> Bytes:
    """Returns the memory of each process that still runs."""
    return _read(pids, "VmRSS")


def peaks(pids: Iterable[int]) -> Bytes:
    """Returns the most memory that processes have had since `reset_peaks`."""
    return _read(pids, "VmHWM")


def reset_peaks(pids: Iterable[int]) -> Bytes:
    """Resets the peaks of processes; returns the memory that they have."""
    found = resident(pids)
    for pid in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")
    return found


def grown_most(before: Mapping[int, int], after: Mapping[int, int]) -> tuple[int, int]:
    """Returns the memory, before and after, of the process that has grown most; it must be in both."""
    both = [(before[pid], after[pid]) for pid in before.keys() & after.keys()]
    return max(both, key=lambda sizes: sizes[1] - sizes[0], default=(0, 0))


def wait_until_settled(pids: Iterable[int]) -> None:
    """Waits until the memory of processes no longer grows by the requests of other clients."""
    pids = list(pids)
    for _ in range(SETTLING_SECONDS):
        before = reset_peaks(pids)
        time.sleep(1)
        start, end = grown_most(before, peaks(pids))
        if end - start < SETTLED_BYTES:
            break


def _read(pids: Iterable[int], what: str) -> Bytes:
    found = {}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError, StopIteration):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            found[pid] = 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))
    return found

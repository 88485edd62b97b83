"""Measures whether memory, file descriptors or threads grow under lasting traffic."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure as Drawing

from loadtests.aims import FAILED_REQUESTS, NEW_PROCESSES, SOAK_DESCRIPTORS, SOAK_GROWTH, SOAK_THREADS, Figure
from loadtests.client import Measurement
from loadtests.figures import report
from loadtests.figures.base import Plan
from loadtests.processes import MEGABYTE, memory_of, processes
from loadtests.rounds import figure, load, say
from loadtests.servers import Server

CLIENTS = 16
ROUNDS = 20  # the last half is compared with the second fifth: in the first fifth, caches fill
SAMPLES_A_ROUND = 6

HEADS = ["minute", "answered /s", "p50 ms", "p99 ms", "memory MB", "files MB", "descriptors", "threads"]
HOW = f"""{CLIENTS} clients send requests of all kinds (`mixed` in `loadtests/traffic.py`), each its next when it has
its answer. All processes of the service are counted together; files that are mapped, which the kernel drops and reads
again at any time, are counted apart."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What all processes of the service hold at a moment."""

    seconds: float  # since the beginning
    files: int  # bytes of mapped files, which the kernel drops and reads again at any time
    memory: int  # other bytes
    descriptors: int
    threads: int


def sample(pids: Sequence[int], began: float) -> Sample:
    """Measures the processes."""
    held = memory_of(pids)
    return Sample(
        time.monotonic() - began,
        held.files,
        held.others,
        sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
        sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in pids),
    )


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns by how much what the service holds grows from the second fifth of the time to its last half."""
    began, pids = time.monotonic(), processes(service.process.pid)
    rounds = [_round(service, plan.minutes * 60 / ROUNDS, pids, began) for _ in range(ROUNDS)]
    gone = len(set(pids) - set(processes(service.process.pid)))
    figures = check(rounds, gone)
    table = report.table(HEADS, [_cells(*round_) for round_ in rounds])
    title = f"{plan.minutes:g} minutes of the same load"
    say(f"see {report.write('soak', title, HOW, figures, table, _drawing(rounds))}")
    return figures


Round = tuple[Measurement, Sequence[Sample]]


def check(rounds: Sequence[Round], gone: int) -> list[Figure]:
    """Returns the figures of so many rounds, in which so many processes went."""
    early = [sample for _, samples in rounds[len(rounds) // 5 : 2 * len(rounds) // 5] for sample in samples]
    late = [sample for _, samples in rounds[len(rounds) // 2 :] for sample in samples]
    before, after = median(s.memory for s in early), median(s.memory for s in late)
    grown = 100 * (after - before) / before
    descriptors = median(s.descriptors for s in late) - median(s.descriptors for s in early)
    threads = median(s.threads for s in late) - median(s.threads for s in early)
    megabytes = f"{before / MEGABYTE:.1f} to {after / MEGABYTE:.1f} MB"
    errors = sum(measured.errors for measured, _ in rounds)
    return [
        Figure("memory", grown, SOAK_GROWTH, megabytes),
        Figure("file descriptors", descriptors, SOAK_DESCRIPTORS, f"{late[-1].descriptors} at the end"),
        Figure("threads", threads, SOAK_THREADS, f"{late[-1].threads} at the end"),
        Figure("requests that failed", errors, FAILED_REQUESTS, f"in {len(rounds)} rounds"),
        Figure("processes that were started again", gone, NEW_PROCESSES, "of the processes at the start"),
    ]


def _round(service: Server, seconds: float, pids: Sequence[int], began: float) -> Round:
    """Loads the service for that long, and measures it meanwhile, but not while connections are opened or closed."""
    with ThreadPoolExecutor(1) as beside:
        loading = beside.submit(load, f"{service.address}/mixed", CLIENTS, seconds)
        samples = []
        for _ in range(SAMPLES_A_ROUND):
            time.sleep(seconds / (SAMPLES_A_ROUND + 1))
            samples.append(sample(pids, began))
        measured = loading.result()
    say(", ".join(f"{head} {cell}" for head, cell in zip(HEADS, _cells(measured, samples), strict=True)))
    return measured, samples


def _cells(measured: Measurement, samples: Sequence[Sample]) -> list[str]:
    last = samples[-1]
    numbers = [measured.requests_per_second, measured.p50_ms, measured.p99_ms]
    sizes = [f"{last.memory / MEGABYTE:.1f}", f"{last.files / MEGABYTE:.1f}"]
    return [f"{last.seconds / 60:.1f}", *map(figure, numbers), *sizes, str(last.descriptors), str(last.threads)]


def _drawing(rounds: Sequence[Round]) -> Drawing:
    drawing, (held, counted, speed, latency) = report.panels(
        ["memory, MB", "file descriptors and threads", "requests a second", "latency, ms"], "minutes"
    )
    samples = [sample for _, some in rounds for sample in some]
    minutes = [sample.seconds / 60 for sample in samples]
    held.plot(minutes, [sample.memory / MEGABYTE for sample in samples])
    counted.plot(minutes, [sample.descriptors for sample in samples], label="file descriptors")
    counted.plot(minutes, [sample.threads for sample in samples], "--", label="threads")
    ends = [some[-1].seconds / 60 for _, some in rounds]
    speed.plot(ends, [measured.requests_per_second for measured, _ in rounds], "o-")
    for name in ("p50_ms", "p99_ms"):
        latency.plot(ends, [getattr(measured, name) for measured, _ in rounds], "o-", label=name[:3])
    for panel in (counted, latency):
        panel.legend(frameon=False, fontsize=8)
    return drawing

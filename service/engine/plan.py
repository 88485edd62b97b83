"""Cuts waiting sequences into batches so that they take the least device time, by step times measured here."""

from collections.abc import Mapping, Sequence
from math import inf

SMOOTHING = 0.1  # weight of a new measurement in a step time
FORGETTING = (
    0.0005  # by which each measurement lowers the times of other sizes: one that was overestimated is tried again
)


class StepTimes:
    """Models the seconds of a step (B, T), T its longest sequence: for each B, a line over T.

    The loop of a step takes T iterations, whose cost depends on B alone. The line is fitted at warm-up; every batch
    adjusts its level, and lowers that of the others slightly.
    """

    def __init__(self) -> None:
        self._lines: dict[int, tuple[float, float]] = {}  # by B: fixed seconds, and seconds per iteration

    def fit(self, rows: int, seconds: Mapping[int, float]) -> None:
        """Fits the line of a B to the seconds measured for its shortest and longest T."""
        short, long = min(seconds), max(seconds)
        per_step = (seconds[long] - seconds[short]) / (long - short) if long > short else seconds[long] / long
        per_step = min(max(per_step, 0.0), seconds[short] / short)  # keeps the line from falling or being negative
        self._lines[rows] = (seconds[short] - per_step * short, per_step)

    def measured(self, shape: tuple[int, int], seconds: float) -> None:
        """Adds a measurement. Outliers are clipped: other processes may have used the processor."""
        rows, _ = shape
        if rows in self._lines and (known := self[shape]) > 0:
            level = 1 + SMOOTHING * (min(seconds / known, 2) - 1)
            for size, (fixed, per_step) in self._lines.items():
                factor = level if size == rows else 1 - FORGETTING
                self._lines[size] = (fixed * factor, per_step * factor)

    def line(self, rows: int) -> tuple[float, float]:
        """Returns the fixed seconds of a step of B rows, and those per iteration."""
        return self._lines.get(rows, (0.0, rows * 1e-6))

    def __getitem__(self, shape: tuple[int, int]) -> float:
        """Returns the seconds of a step; estimates them from the number of cells for a B that was not measured."""
        rows, length = shape
        fixed, per_step = self.line(rows)
        return fixed + per_step * length


def cut(lengths: Sequence[int], batch_sizes: Sequence[int], seconds: StepTimes) -> list[int]:
    """Cuts sequences, whose lengths rise, into batches that take the least time; returns where each batch starts.

    Each batch is full, but for the first, whose last rows may be filler.
    """
    lines = [(rows, *seconds.line(rows)) for rows in batch_sizes]
    costs, starts = [0.0], [0]  # of the first n sequences: their least seconds, and the start of their last batch
    for n, length in enumerate(lengths, start=1):
        least, first = inf, 0
        for rows, fixed, per_step in lines:
            start = max(n - rows, 0)
            if (cost := costs[start] + fixed + per_step * length) <= least:  # if equal, more rows
                least, first = cost, start
            if not start:
                break
        costs.append(least)
        starts.append(first)
    batches: list[int] = []
    end = len(lengths)
    while end:
        end = starts[end]
        batches.append(end)
    return batches[::-1]

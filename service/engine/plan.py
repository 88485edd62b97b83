"""Cuts waiting sequences into batches so that they take the least device time, by step times measured here."""

from collections.abc import Mapping, Sequence
from math import inf

GROWTH = 0.8  # exponent of the rows in how much longer a step of more rows takes at most: 1.74 times for twice as many
ROUNDING = 1 + 1e-9  # within which times are equal


class StepTimes:
    """Models the seconds of a step (B, T), T its longest sequence: for each B, a line over T.

    The loop of a step takes T iterations, whose cost depends on B alone. The lines are fitted at warm-up, when other
    processes may use the processor. A batch that takes less lowers all alike; one that takes more says how busy the
    processor is, not what a step costs.
    """

    def __init__(self) -> None:
        self.lines: dict[int, tuple[float, float]] = {}  # by B: fixed seconds, and seconds per iteration

    def fit(self, rows: int, seconds: Mapping[int, float]) -> None:
        """Fits the line of a B to the seconds measured for its shortest and longest T; sizes in ascending order.

        Steps of more rows take less for each: one that does not was measured while another process used the processor,
        and would not be chosen again.
        """
        short, long = min(seconds), max(seconds)
        per_step = (seconds[long] - seconds[short]) / (long - short) if long > short else seconds[long] / long
        per_step = min(max(per_step, 0.0), seconds[short] / short)  # keeps the line from falling or being negative
        fixed = seconds[short] - per_step * short
        for fewer, (known_fixed, known_per_step) in self.lines.items():
            if fewer < rows:
                most = (rows / fewer) ** GROWTH
                fixed, per_step = min(fixed, most * known_fixed), min(per_step, most * known_per_step)
        self.lines[rows] = (fixed, per_step)

    def measured(self, shape: tuple[int, int], seconds: float) -> None:
        """Lowers the times of all steps alike if one took less."""
        fixed, per_step = self.lines[shape[0]]
        if 0 < seconds < (known := fixed + per_step * shape[1]):
            self.lines = {rows: (f * seconds / known, p * seconds / known) for rows, (f, p) in self.lines.items()}

    def seconds(self, rows: int, length: int) -> float:
        """Returns the seconds of a step (B, T)."""
        fixed, per_step = self.lines[rows]
        return fixed + per_step * length

    @property
    def of_sequence(self) -> tuple[float, float]:
        """The device time of a sequence in a full batch: fixed seconds, and seconds per token."""
        rows = max(self.lines)
        fixed, per_step = self.lines[rows]
        return fixed / rows, per_step / rows


def cut(lengths: Sequence[int], batch_sizes: Sequence[int], seconds: StepTimes) -> list[int]:
    """Cuts sequences, whose lengths rise, into batches that take the least time; returns where each batch starts.

    Each batch is full, but for the first, whose last rows may be filler.
    """
    lines = [(rows, *seconds.lines[rows]) for rows in batch_sizes]
    costs, starts = [0.0], [0]  # of the first n sequences: their least seconds, and the start of their last batch
    for n, length in enumerate(lengths, start=1):
        least, first = inf, 0
        for rows, fixed, per_step in lines:
            start = max(n - rows, 0)
            if (cost := costs[start] + fixed + per_step * length) <= ROUNDING * least:  # if equal, more rows
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

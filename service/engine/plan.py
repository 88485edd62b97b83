"""Cuts waiting sequences into batches so that they take the least device time, by step times measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Self

import numpy as np

ROUNDING = 1 + 1e-9  # within which times are equal


@dataclass(slots=True)
class StepTimes:
    """Models the seconds of a step (B, T), T its longest sequence: for each B, a line over T.

    A batch that takes less than that lowers all lines alike; one that takes more says how busy the device is, not what
    a step costs.

    Attributes:
        lines: by B: fixed seconds, and seconds per iteration of the step's loop, of which there are T.
    """

    lines: dict[int, tuple[float, float]]

    @classmethod
    def fit(cls, measured: Mapping[tuple[int, int], float]) -> Self:
        """Fits a + b B + (c + d B) T to the seconds of steps (B, T), each number 0 or more, by least squares.

        Errors count in proportion to the seconds. Four numbers for all sizes: one step that was measured too slow or
        too fast does not decide how often its size is chosen.
        """
        if not measured:
            return cls({})
        b, t = np.array(list(measured), float).T
        terms = np.stack([np.ones_like(b), b, t, b * t], axis=1) / np.array(list(measured.values()))[:, None]  # [N, 4]
        used = [0, 1, 2, 3]
        while (found := np.linalg.lstsq(terms[:, used], np.ones(len(b)))[0]).min() < 0:
            del used[found.argmin()]
        factors = [0.0] * 4
        for i, factor in zip(used, found.tolist(), strict=True):
            factors[i] = factor
        fixed, fixed_of_row, iteration, iteration_of_row = factors
        return cls({rows: (fixed + fixed_of_row * rows, iteration + iteration_of_row * rows) for rows, _ in measured})

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

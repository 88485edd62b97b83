"""Plans how to fill a batch: pad it, split it, or promote shorter sequences, whichever costs least device time.

Costs are step times measured on this device.
"""

from collections.abc import Mapping

from service.engine.padding import Grid

SMOOTHING = 0.1  # weight of a new measurement in a step time
LONGEST_STEP_SECONDS = 0.05  # of a batch, for which other models wait; projecting its new words comes before it
BACKLOG_WEIGHT = 0.1  # value of a saved later step while more sequences wait than a batch holds


class StepTimes:
    """Models the seconds of a step (B, T), T its longest sequence: for each B, a line over T.

    The loop of a step takes T iterations, whose cost depends on B alone. The line is fitted at warm-up; every batch
    adjusts its level.
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
            fixed, per_step = self._lines[rows]
            self._lines[rows] = (fixed * level, per_step * level)

    def __getitem__(self, shape: tuple[int, int]) -> float:
        """Returns the seconds of a step; estimates them from the number of cells for a B that was not measured."""
        rows, length = shape
        fixed, per_step = self._lines.get(rows, (0.0, rows * 1e-6))
        return fixed + per_step * length


class Plan:
    """The batch to run next for a (model, bucket) queue.

    Attributes:
        rows: B.
        takes: how many sequences of each length bucket: first the queue's own, then shorter ones from the longest down.
    """

    def __init__(self, grid: Grid, seconds: StepTimes, bucket: int, waiting: Mapping[int, int]) -> None:
        """`waiting` counts the sequences in each bucket of the model; `bucket` has at least one."""
        self._grid = grid
        self._seconds = seconds
        self._bucket = bucket
        self._batch_sizes = self._quick_batch_sizes()
        self._weight = BACKLOG_WEIGHT if sum(waiting.values()) > self._batch_sizes[-1] else 1.0
        own = min(waiting[bucket], self._batch_sizes[-1])
        self.rows = self._split_or_pad(own)
        self.takes = {bucket: min(own, self.rows)}
        for shorter in reversed(grid.lengths):
            if shorter < bucket and waiting.get(shorter):
                self._promote(shorter, waiting[shorter])

    def _quick_batch_sizes(self) -> list[int]:
        """Returns each B whose step takes at most `LONGEST_STEP_SECONDS`, or the smallest B."""
        sizes = self._grid.batch_sizes
        return [b for b in sizes if self._seconds[b, self._bucket] <= LONGEST_STEP_SECONDS] or [sizes[0]]

    def _split_or_pad(self, sequences: int) -> int:
        """Returns B for a number of sequences: one step that holds all, or the first of two that cost less."""
        rows = self._grid.rows(sequences)
        fitting = [size for size in self._grid.batch_sizes if size < sequences]
        if rows == sequences or not fitting:
            return rows
        split = fitting[-1]
        rest = self._grid.rows(sequences - split)
        two_steps = self._seconds[split, self._bucket] + self._seconds[rest, self._bucket]
        return split if two_steps < self._seconds[rows, self._bucket] else rows

    def _promote(self, shorter: int, waiting: int) -> None:
        """Adds sequences of a shorter bucket: in filler rows, and beyond them where a larger B saves time.

        A larger B saves time where it adds less to this step than the steps that the sequences would need later. Later
        steps count less while there is a backlog: they will be fuller and have less padding.
        """
        taken = sum(self.takes.values())
        best_gain, best_rows = 0.0, self.rows
        for rows in self._batch_sizes:
            sequences = min(waiting, rows - taken)
            if rows >= self.rows and sequences > 0:
                saved = self._weight * self._seconds[self._grid.rows(sequences), shorter]
                added = self._seconds[rows, self._bucket] - self._seconds[self.rows, self._bucket]
                if saved - added > best_gain:
                    best_gain, best_rows = saved - added, rows
        sequences = min(waiting, best_rows - taken)
        if best_gain > 0:
            self.rows = best_rows
            self.takes[shorter] = sequences

"""How to fill a batch: pad up, split, or take shorter sequences in; whichever costs the device least.

Costs are step times that were measured on this device, so the choice is not a guess about where a step's time goes.
"""

from collections.abc import Mapping

from service.engine.padding import Grid

SMOOTHING = 0.1  # share of a new measurement in the step time that is kept
CROWDED = 0.1  # what a step counts for that would come later, and fuller, since more wait than a batch holds


class StepTimes:
    """Seconds of a step (B, T), T the length of its longest sequence: for each B, a line over T.

    The loop of a step takes T turns, whose cost depends on B alone. The line is measured at warm-up; every batch keeps
    its level current.
    """

    def __init__(self) -> None:
        self._lines: dict[int, tuple[float, float]] = {}  # of each B: seconds without any turn, and of a turn

    def fit(self, rows: int, seconds: Mapping[int, float]) -> None:
        """Draws the line of a B through the seconds that its shortest and longest T took."""
        short, long = min(seconds), max(seconds)
        turn = (seconds[long] - seconds[short]) / (long - short) if long > short else seconds[long] / long
        turn = min(max(turn, 0.0), seconds[short] / short)  # a line that is negative nowhere, nor falls
        self._lines[rows] = (seconds[short] - turn * short, turn)

    def measured(self, shape: tuple[int, int], seconds: float) -> None:
        """Takes a measurement. A slow one counts for little: something else had the processor for a while."""
        rows, _ = shape
        if rows in self._lines and (known := self[shape]) > 0:
            level = 1 + SMOOTHING * (min(seconds / known, 2) - 1)
            fixed, turn = self._lines[rows]
            self._lines[rows] = (fixed * level, turn * level)

    def __getitem__(self, shape: tuple[int, int]) -> float:
        """Returns the seconds of a step; of a B not measured yet, its number of cells stands in."""
        rows, length = shape
        fixed, turn = self._lines.get(rows, (0.0, rows * 1e-6))
        return fixed + turn * length


class Plan:
    """Which batch to run for the lane whose turn it is.

    Attributes:
        rows: B.
        takes: how many entries of each length bucket, the lane's own first, then shorter ones from the longest down.
    """

    def __init__(self, grid: Grid, seconds: StepTimes, bucket: int, waiting: Mapping[int, int]) -> None:
        """`waiting` counts the entries of each bucket of the model; `bucket` is one that has some."""
        self._grid = grid
        self._seconds = seconds
        self._bucket = bucket
        self._worth = CROWDED if sum(waiting.values()) > grid.batch_sizes[-1] else 1.0
        own = min(waiting[bucket], grid.batch_sizes[-1])
        self.rows = self._split_or_pad(own)
        self.takes = {bucket: min(own, self.rows)}
        for shorter in reversed(grid.lengths):
            if shorter < bucket and waiting.get(shorter):
                self._promote(shorter, waiting[shorter])

    def _split_or_pad(self, entries: int) -> int:
        """Returns the B for a number of entries: one step that holds them all, or the first of two that fit better."""
        rows = self._grid.rows(entries)
        fitting = [size for size in self._grid.batch_sizes if size < entries]
        if rows == entries or not fitting:
            return rows
        split = fitting[-1]
        rest = self._grid.rows(entries - split)
        two_steps = self._seconds[split, self._bucket] + self._seconds[rest, self._bucket]
        return split if two_steps < self._seconds[rows, self._bucket] else rows

    def _promote(self, shorter: int, waiting: int) -> None:
        """Takes entries of a shorter bucket in: those that fill rows for nothing, and more where a larger B is cheaper.

        A larger B is cheaper where what it adds to this step is less than the steps that the entries would need. Those
        are worth less in a crowd: whoever stays has company when it is his turn, and a full step pads less.
        """
        taken = sum(self.takes.values())
        best_gain, best_rows = 0.0, self.rows
        for rows in self._grid.batch_sizes:
            entries = min(waiting, rows - taken)
            if rows >= self.rows and entries > 0:
                saved = self._worth * self._seconds[self._grid.rows(entries), shorter]
                added = self._seconds[rows, self._bucket] - self._seconds[self.rows, self._bucket]
                if saved - added > best_gain:
                    best_gain, best_rows = saved - added, rows
        entries = min(waiting, best_rows - taken)
        if best_gain > 0 and entries > 0:
            self.rows = best_rows
            self.takes[shorter] = entries

"""Progress of a run: a live line on a terminal, and one line per epoch anywhere."""

import math
import time
from collections.abc import Iterable
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from service.artifact.manifest import Metric


def duration(seconds: float) -> str:
    """Formats a duration as minutes and seconds, or hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def figures(metrics: Iterable[Metric]) -> str:
    """Formats the metrics of a whole split in one line, without those of a part of it ("UPOS, known words")."""
    whole = [metric for metric in metrics if "," not in metric.name]
    return "  ".join(f"{metric.name} {metric.value:#.4g} {metric.unit}".rstrip() for metric in whole)


class Reporter:
    """Shows loss, metrics, tokens per second and the time of the epochs that are left. A context manager.

    Args:
        epochs: of the whole run.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        self._console = console
        self._epochs = epochs
        self._first = math.inf  # epochs done after the first step, which takes longer: it traces the network
        self._started = 0.0  # when that was
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def epoch(self, number: int, batches: int) -> None:
        """Starts the line of an epoch; the first is number 1."""
        for old in self._bar.task_ids:
            self._bar.remove_task(old)
        self._line = self._bar.add_task(f"epoch {number}/{self._epochs}", total=batches, status="")
        self._number, self._batches = number, batches
        self._epoch_started = time.monotonic()

    def step(self, done: int, loss: float, tokens: int) -> None:
        """Updates the line after a step. loss, tokens: mean and sum over the epoch so far."""
        epochs = self._number - 1 + done / self._batches
        if self._first == math.inf:
            self._first, self._started = epochs, time.monotonic()
        status = f"loss {loss:.4f}  {self._rate(tokens)}  {self._left(epochs)} left"
        self._bar.update(self._line, completed=done, status=status)

    def epoch_done(self, loss: float, tokens: int, seconds: float, metrics: Iterable[Metric], best: bool) -> None:
        """Prints the line of an evaluated epoch. seconds: of its steps only."""
        self.print(
            f"epoch {self._number}/{self._epochs}  loss {loss:.4f}  {figures(metrics)}  "
            f"{tokens / seconds:.0f} tokens/s  {self._left(self._number)} left{'  best' if best else ''}"
        )

    def print(self, text: str) -> None:
        """Prints a line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _rate(self, tokens: int) -> str:
        return f"{tokens / max(time.monotonic() - self._epoch_started, 1e-9):.0f} tokens/s"

    def _left(self, epochs: float) -> str:
        """Formats the time of the epochs that are left after so many; "?" if only the first step is done."""
        if epochs <= self._first:
            return "?"
        per_epoch = (time.monotonic() - self._started) / (epochs - self._first)
        return duration(per_epoch * (self._epochs - epochs))

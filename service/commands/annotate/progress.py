"""Shows progress on stderr: a bar on a terminal, otherwise a line every 10 seconds."""

import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from service.commands.annotate.output import CHECKPOINT_SECONDS, Output, StandardOutput

CHECKPOINTS = 10  # between lines, where there is no terminal


def say(console: Console, text: str) -> None:
    """Prints a line as it is."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


class ProgressDisplay:
    """Shows one file's progress. A context manager."""

    def __init__(self, console: Console, name: str, size: int | None, output: Output | StandardOutput) -> None:
        """`name` is that of the input, and `size` its bytes, if known."""
        self._console = console
        self._name = name
        self._output = output
        self._rows = self._done()  # of earlier runs
        self._began = self._said = time.monotonic()
        columns = (BarColumn(bar_width=None), TaskProgressColumn(), TextColumn("{task.fields[rate]}"))
        self._bar = Progress(
            *(TextColumn("{task.description}"), *columns, TimeRemainingColumn()),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar.add_task(name, total=size, completed=output.manifest.position.bytes, rate="")

    def __enter__(self) -> Self:
        if self._rows:
            say(self._console, f"{self._name}: resumes after {self._rows} rows")
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self) -> None:
        """Shows the position up to which annotations are written."""
        (task,) = self._bar.tasks
        self._bar.update(task.id, completed=self._output.manifest.position.bytes, rate=self._rate())
        if not self._console.is_terminal and time.monotonic() - self._said > CHECKPOINTS * CHECKPOINT_SECONDS:
            self._said = time.monotonic()
            share = f", {task.percentage:.0f} %" if task.total else ""
            left = f", {timedelta(seconds=task.time_remaining)} left" if task.time_remaining is not None else ""
            say(self._console, f"{self._name}: {self._done()} rows{share}, {self._rate()}{left}")

    def done(self, target: str, rejected: str) -> None:
        """Shows that all annotations are written into `target`, and bad rows where `rejected` says."""
        manifest = self._output.manifest
        say(self._console, f"{self._name}: {self._done()} rows, {self._rate()}, in {target}")
        if manifest.rejected:
            lines = f" ({manifest.rejected_lines} lines)" if manifest.rejected_lines != manifest.rejected else ""
            say(self._console, f"{self._name}: {manifest.rejected} bad rows{lines} are left out{rejected}")

    def _done(self) -> int:
        return self._output.manifest.rows + self._output.manifest.rejected

    def _rate(self) -> str:
        return f"{(self._done() - self._rows) / max(time.monotonic() - self._began, 1e-9):.0f} rows/s"

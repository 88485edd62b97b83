"""Shows progress on stderr: a bar on a terminal, otherwise a line every 10 seconds."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from service.commands.annotate.output import Output
from service.commands.annotate.records import REJECTED
from service.commands.annotate.source import Source
from service.commands.annotate.standard_output import StandardOutput

PLAIN_SECONDS = 10.0  # between lines


class ProgressDisplay:
    """Shows one file's progress. A context manager."""

    def __init__(
        self, console: Console, source: Source, output: Output | StandardOutput, which: str, target: str
    ) -> None:
        """`which` says which of all sources it is, `target` where the output will be."""
        self._console = console
        self._source = source
        self._output = output
        self._target = target
        self._name = f"{which}{source}"
        self._start, self._rows = output.position, output.rows + output.rejected
        self._began = self._said = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._line = self._bar.add_task(self._name, total=source.size, completed=self._start.bytes, rate="")

    def __enter__(self) -> Self:
        if self._rows:
            self.say(f"{self._name}: resumes after {self._rows} rows")
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self) -> None:
        """Shows the position up to which annotations are written."""
        now = self._output.position
        self._bar.update(self._line, completed=now.bytes, rate=self._rate())
        if not self._console.is_terminal and time.monotonic() - self._said > PLAIN_SECONDS:
            self._said = time.monotonic()
            self.say(f"{self._name}: {self._done()} rows{self._share()}, {self._rate()}{self._left()}")

    def done(self) -> None:
        """Shows that all annotations are written."""
        output = self._output
        self.say(f"{self._name}: {self._done()} rows, {self._rate()}, in {self._target}")
        if output.rejected:
            where = f", see {self._target}{REJECTED}" if output.where_rejected else ""
            lines = f" ({output.rejected_lines} lines)" if output.rejected_lines != output.rejected else ""
            self.say(f"{self._name}: {output.rejected} bad rows{lines} are left out{where}")

    def say(self, text: str) -> None:
        """Prints a line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _done(self) -> int:
        return self._output.rows + self._output.rejected

    def _rate(self) -> str:
        return f"{(self._done() - self._rows) / max(time.monotonic() - self._began, 1e-9):.0f} rows/s"

    def _share(self) -> str:
        return f", {100 * self._output.position.bytes / self._source.size:.0f} %" if self._source.size else ""

    def _left(self) -> str:
        done = self._output.position.bytes - self._start.bytes
        if not self._source.size or not done:
            return ""
        seconds = (time.monotonic() - self._began) * (self._source.size - self._output.position.bytes) / done
        minutes, rest = divmod(round(seconds), 60)
        return f", {minutes}:{rest:02} left"

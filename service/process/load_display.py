"""Shows how far the models are loaded: a bar on a terminal, otherwise a log line every ten seconds."""

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from service.engine.loader import LoadProgress
from service.settings import Settings

log = logging.getLogger("tagwerk.engine")

PLAIN_SECONDS = 10.0  # between lines of the log


def shows_progress(settings: Settings) -> bool:
    """Returns whether standard error is a terminal that shows the log as plain text."""
    return settings.log_format == "console" and sys.stderr.isatty()


class LoadDisplay:
    """Shows the progress of one process. A context manager: shows a bar during the block."""

    def __init__(
        self, on_terminal: bool, clock: Callable[[], float] = time.monotonic, console: Console | None = None
    ) -> None:
        self._on_terminal = on_terminal
        self._clock = clock
        self._logged = clock()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
            transient=True,
            disable=not on_terminal,
        )
        self._line = self._bar.add_task("starts TensorFlow", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, progress: LoadProgress) -> None:
        """Shows the present state. May be called from another thread."""
        which = f"{progress.key} ({progress.number} of {progress.versions})"
        if not progress.compiled:  # the next version, whose number of executables is not known yet
            self._logged = self._clock()
            self._bar.remove_task(self._line)
            self._line = self._bar.add_task(f"loads {which}", total=None)
        elif self._on_terminal:
            self._bar.update(self._line, completed=progress.compiled, total=progress.executables)
        elif self._clock() - self._logged >= PLAIN_SECONDS:
            self._logged = self._clock()
            log.info("%s: %d of %d executables are ready", which, progress.compiled, progress.executables)

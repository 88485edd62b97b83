"""Annotates files through the same pipelines as requests, one after the other, and writes their outputs.

Progress is shown on stderr: a bar on a terminal, otherwise a line every 10 seconds.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Sequence
from contextlib import aclosing, closing, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from service.artifact.manifest import ModelVersion
from service.commands.annotate.forms import FORMS
from service.commands.annotate.job import STANDARD, Job
from service.commands.annotate.output import CHECKPOINT_SECONDS, Output, StandardOutput
from service.commands.annotate.plan import Pairs, plan
from service.commands.annotate.processes import Processes
from service.commands.annotate.records import (
    MOST_LEFT_OUT,
    RunManifest,
    companions,
    differences,
    facts,
    read_run_manifest,
)
from service.commands.annotate.remote import url_of
from service.commands.annotate.rows import UnreadableInput
from service.commands.annotate.source import Source, import_parquet
from service.commands.annotate.uncertain import check_output, find, write
from service.errors import ModelNotFound, quantity
from service.settings import Settings
from service.store.serving import served
from service.text.languages import primary

CHECKPOINTS_A_LINE = 10  # of progress, where there is no terminal


def say(console: Console, text: str) -> None:
    """Prints a line as it is."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


class ProgressDisplay:
    """Shows one file's progress.

    Attributes:
        bar: of a terminal, there in its block.
    """

    def __init__(self, console: Console, name: str, size: int | None, manifest: RunManifest) -> None:
        """`name` is the input's name, `size` its bytes, if known, and `manifest` that of the output."""
        self._console, self._name, self._manifest = console, name, manifest
        self._rows = manifest.rows_read  # of earlier runs
        self._began = self._said = time.monotonic()
        columns = (BarColumn(bar_width=None), TaskProgressColumn(), TextColumn("{task.fields[rate]}"))
        self.bar = Progress(
            *(TextColumn("{task.description}", markup=False), *columns, TimeRemainingColumn()),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.bar.add_task(name, total=size, completed=manifest.input_bytes, rate="")
        if self._rows:
            self._say(f"resumes after {quantity(self._rows, 'row')}")

    def update(self) -> None:
        """Shows the position up to which annotations are written."""
        (task,) = self.bar.tasks
        self.bar.update(task.id, completed=self._manifest.input_bytes, rate=self._rate())
        if not self._console.is_terminal and time.monotonic() - self._said > CHECKPOINTS_A_LINE * CHECKPOINT_SECONDS:
            self._said = time.monotonic()
            share = f", {task.percentage:.0f} %" if task.total else ""
            left = f", {timedelta(seconds=task.time_remaining)} left" if task.time_remaining is not None else ""
            self._say(f"{quantity(self._manifest.rows_read, 'row')}{share}, {self._rate()}{left}")

    def done(self, target: str, rejected: str) -> None:
        """Shows that all annotations are written into `target`, and bad rows where `rejected` says."""
        bad, bad_lines = self._manifest.rejected, self._manifest.rejected_lines
        self._say(f"{quantity(self._manifest.rows_read, 'row')}, {self._rate()}, in {target}")
        if bad:
            lines = f" ({bad_lines} lines)" if bad_lines != bad else ""
            self._say(f"left out {quantity(bad, 'bad row')}{lines}{rejected}")

    def _say(self, text: str) -> None:
        say(self._console, f"{self._name}: {text}")

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-9)
        return f"{(self._manifest.rows_read - self._rows) / seconds:.0f} rows/s"


def annotate(settings: Settings, job: Job) -> int:
    """Annotates all files; returns the exit status. Raises TagwerkError."""
    if job.uncertain is not None:
        check_output(job)
    versions, defaults = served(settings, every_model=True)
    job = replace(job, model=job.model or defaults.get(job.task), longest_text=settings.max_text_characters)
    chosen = choose(versions, job)
    pairs = plan(job if job.uncertain is None else replace(job, output=STANDARD))
    logging.getLogger("tagwerk").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # also as a container's first process
    console = Console(stderr=True)
    try:
        with closing(Annotator(settings, chosen, job, console)) as annotator:
            if job.uncertain is not None:
                annotator.find_uncertain(pairs, job.uncertain)
                return 0
            return int(annotator.annotate_all(pairs))
    except KeyboardInterrupt:
        resumable = all(source.can_reread and target != STANDARD for source, target in pairs)
        say(console, f"stopped{': the same command resumes from here' if resumable else ''}")
        return 130


def choose(versions: Sequence[ModelVersion], job: Job) -> list[ModelVersion]:
    """Returns the model for the task, and where languages are identified, the others for it. Raises ModelNotFound."""
    able = [version for version in versions if version.manifest.task == job.task]
    if job.language is not None and not job.identifies:
        wanted, there = primary(job.language), sorted({version.manifest.language for version in able})
        found = [version for version in able if primary(version.manifest.language) == wanted]
        problem = f"no model of the language {job.language!r} is in the store"
    else:
        there = [version.manifest.name for version in able]
        found = [version for version in able if job.model in (None, version.manifest.name)]
        problem = f"no model {job.model or ''!r} in the store does this"
    if not found:
        raise ModelNotFound(f"{problem}; there is: {', '.join(there) or 'none'}")
    return [found[0], *(version for version in able if job.identifies and version is not found[0])]


class Annotator:
    """Annotates files. The engine is started for the first file that needs it.

    Of several versions, the first is the default.
    """

    def __init__(self, settings: Settings, versions: Sequence[ModelVersion], job: Job, console: Console) -> None:
        self._versions, self._job, self._console = versions, job, console
        self._parquet = import_parquet() if job.form == "parquet" else None
        self._runner = asyncio.Runner()
        self._processes = Processes(settings, versions, job, partial(say, console))

    def close(self) -> None:
        """Ends the processes."""
        with self._runner:
            self._runner.run(self._processes.close())

    def find_uncertain(self, pairs: Pairs, count: int) -> None:
        """Writes the texts of files that are most worth correcting, at most `count`."""
        self._start()
        write(self._runner.run(find(self._processes, pairs, self._job, count)), self._job)

    def annotate_all(self, pairs: Pairs) -> bool:
        """Annotates files one after the other; returns whether any is left out, or has too many bad rows.

        Raises UnreadableInput for the only input, or if the job is strict.
        """
        unreadable, incomplete = 0, False
        if not pairs:
            say(self._console, "no file is in this share")
        for number, (source, target) in enumerate(pairs, 1):
            try:
                incomplete |= self.annotate(source, target, f"{number} of {len(pairs)}: " if len(pairs) > 1 else "")
            except UnreadableInput as error:
                if len(pairs) == 1 or self._job.strict:
                    raise
                unreadable += 1
                say(self._console, f"left out: {error}")
        if unreadable:
            say(self._console, f"left out {unreadable} of {len(pairs)} files")
        return incomplete or unreadable > 0

    def annotate(self, source: Source, target: Path, which: str) -> bool:
        """Annotates a file, unless its output is there; returns whether too many of its rows are left out.

        `which` is shown before its name, such as "2 of 3: ". Raises UnreadableInput, UnusableOutput.
        """
        if target != STANDARD and target.exists():
            manifest = read_run_manifest(target) or RunManifest()
            before = {name: value for name, value in manifest.facts.items() if not name.startswith("input ")}
            changed = before and differences(before, facts(self._versions, self._job))
            advice = f", made with {changed}: remove it to have it made anew" if changed else ""
            say(self._console, f"{url_of(target)} is there already, and stays as it is{advice}")
        else:
            with source:
                manifest = self._write(source, target, which)
        if self._job.allow_bad_rows or not manifest.leaves_out_too_many:
            return False
        share = f"more than {100 * MOST_LEFT_OUT:g} % of its rows or lines are left out"
        advice = "so the exit status is 1: correct it, or allow that with --allow-bad-rows"
        say(self._console, f"{source}: {share}, {advice}")
        return True

    def _write(self, source: Source, target: Path, which: str) -> RunManifest:
        """Annotates a file from where an earlier run stopped; returns the manifest of its output."""
        digest = source.digest()
        known = {"input format": source.format, "input content": digest} if digest is not None else {}
        manifest = RunManifest(input=str(source), facts=known and {**facts(self._versions, self._job), **known})
        output: Output | StandardOutput
        if target == STANDARD:
            output, rejected = StandardOutput(manifest, partial(say, self._console)), ""
        else:
            finisher = None
            if self._parquet is not None:
                results = self._parquet.types_of_results(self._versions[0], self._job)
                finisher = partial(self._parquet.make_parquet, results=results, source=source.reader)
            output, rejected = Output(target, manifest, finisher), f", see {url_of(companions(target)[1])}"
        with output:
            manifest = output.manifest  # perhaps of an earlier run
            size = source.size if self._job.limit is None else None
            self._start(0 if size is None else size - manifest.input_bytes)  # once the output is open
            show = ProgressDisplay(self._console, f"{which}{source}", source.size, manifest)
            with show.bar:
                self._runner.run(self._annotate(source, output, show))
                if manifest.rejected and not manifest.rows:
                    raise UnreadableInput(f"{source}: all of its rows are bad{rejected}")
                output.finish()
                show.done(url_of(target), rejected)
        return manifest

    def _start(self, size: int = 0) -> None:
        """Starts the processes, if they are not; those beside this one if `size` bytes are worth them."""
        shown = self._console.is_terminal and not self._processes.are_started
        loads = f"loading {', '.join(str(version.key) for version in self._versions)}"
        with self._console.status(loads) if shown else nullcontext():
            self._runner.run(self._processes.start(size))

    async def _annotate(self, source: Source, output: Output | StandardOutput, show: ProgressDisplay) -> None:
        """Writes the annotations of what is left of a source."""
        limit, encode = self._job.limit, FORMS[self._job.task, self._job.form]
        left = None if limit is None else limit - output.manifest.rows_read
        chunks = source.chunks(output.manifest.position, left)
        async with aclosing(self._processes.annotated(encode, chunks)) as annotations:
            async for content, chunk in annotations:
                output.write(content, chunk)
                show.update()

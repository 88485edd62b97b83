"""Annotates files, one after the other, with an engine in this process."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

from rich.console import Console

from service.artifact.version import ModelVersion
from service.commands.annotate.facts import difference, facts, has_finished_copy
from service.commands.annotate.forms import FORMS, Annotate, OutputOptions
from service.commands.annotate.job import Job
from service.commands.annotate.output import Output, is_complete, upload_output
from service.commands.annotate.progress import ProgressDisplay
from service.commands.annotate.records import MOST_LEFT_OUT, UnusableOutput, leaves_out_too_many, read_manifest
from service.commands.annotate.remote import is_remote, url_of, working_copy
from service.commands.annotate.rows import Chunk, UnreadableInput
from service.commands.annotate.source import Source, import_parquet
from service.commands.annotate.standard_output import STDOUT, StandardOutput
from service.pipelines.in_process import AsyncPipelines, start_pipelines
from service.process import memory
from service.settings import Settings

WINDOW = 8  # chunks in progress: enough to fill batches of every length
CHECKPOINT_SECONDS = 1.0  # between checkpoints: the work that an interrupt may cost


class Done(NamedTuple):
    """Rows that were annotated in a run, and bad ones; whether those of the whole file are too many."""

    rows: int = 0
    rejected: int = 0
    too_many_rejected: bool = False


class Annotator:
    """Annotates files; an asynchronous context manager. The engine is started for the first file that needs it."""

    def __init__(self, settings: Settings, versions: Sequence[ModelVersion], job: Job, console: Console) -> None:
        self._settings = settings
        self._versions = versions
        self._job = job
        self._console = console
        self._say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
        self._finisher = import_parquet().make_parquet if job.form == "parquet" else None
        self._pipelines: AsyncPipelines | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def annotate(self, source: Source, target: Path, which: str = "") -> Done:
        """Annotates a file, unless its output is there; `which` says which of all files it is.

        Raises UnreadableInput, UnusableOutput.
        """
        versions, job = self._versions, self._job
        if target == STDOUT:
            return await self._write(source, StandardOutput(self._say), which, target)
        if is_complete(target):
            self._say(f"{url_of(target)} is there already, and stays as it is{difference(target, versions, job)}")
            made = read_manifest(target)
            counts = (made.rows, made.rejected, made.lines, made.rejected_lines) if made else (0, 0, 0, 0)
            return Done(too_many_rejected=self._leaves_out_too_many(url_of(target), *counts))
        made_from = facts(versions, job, source)
        if not is_remote(target):
            with folders_of(target):
                return await self._write(source, Output(target, made_from, self._finisher), which, target)
        place = working_copy(target)
        done = Done()
        if has_finished_copy(place, made_from):
            self._say(f"{source}: the complete output of an earlier run is copied to {url_of(target)}")
        else:
            with folders_of(place):
                done = await self._write(source, Output(place, made_from, self._finisher), which, target)
        upload_output(place, target)
        return done

    async def _write(self, source: Source, output: Output | StandardOutput, which: str, target: Path) -> Done:
        job, kept = self._job, -math.inf
        form, options = FORMS[job.task, job.form], OutputOptions(job.prefix, job.n_best)
        with output:
            pipelines = await self._started()  # after the output has been opened
            before = output.rows, output.rejected
            left = None if job.limit is None else job.limit - sum(before)
            chunks = source.chunks(output.position, self._settings.max_text_characters, left)
            with ProgressDisplay(self._console, source, output, which, url_of(target)) as show:
                async with aclosing(annotated(pipelines, form, options, chunks)) as annotations:
                    async for content, chunk in annotations:
                        output.write(content, chunk.end, len(chunk.rows), chunk.rejected)
                        if time.monotonic() - kept > CHECKPOINT_SECONDS:
                            output.checkpoint()
                            kept = time.monotonic()
                        show.update()
                if output.rejected and not output.rows:
                    raise UnreadableInput(f"{source}: all {output.rejected} rows are bad{output.where_rejected}")
                output.finish(str(source))
                show.done()
            counts = (output.rows, output.rejected, output.position.lines, output.rejected_lines)
            too_many = self._leaves_out_too_many(str(source), *counts)
            return Done(output.rows - before[0], output.rejected - before[1], too_many)

    def _leaves_out_too_many(self, name: str, *counts: int) -> bool:
        """Returns whether too many rows are left out, and prints that. `counts` as of `leaves_out_too_many`."""
        too_many = not self._job.allow_bad_rows and leaves_out_too_many(*counts)
        if too_many:
            share = f"more than {100 * MOST_LEFT_OUT:g} % of its rows or lines are left out"
            self._say(f"{name}: {share}, so the exit status is 1: correct it, or allow that with --allow-bad-rows")
        return too_many

    async def _started(self) -> AsyncPipelines:
        if self._pipelines is None:
            names = ", ".join(str(version.key) for version in self._versions)
            # A file fills its batches, so one batch size is enough.
            whole = self._settings.model_copy(update={"batch_sizes": self._settings.batch_sizes[-1:]})
            with self._console.status(f"loading {names}") if self._console.is_terminal else nullcontext():
                self._pipelines = await self._stack.enter_async_context(start_pipelines(whole, self._versions))
            memory.tune()
        return self._pipelines


async def annotated(
    pipelines: AsyncPipelines, form: Annotate, options: OutputOptions, chunks: Iterator[Chunk]
) -> AsyncGenerator[tuple[bytes, Chunk], None]:
    """Yields the annotations of chunks, in their order. Some are in progress at a time. Raises what reading raises."""
    under_way: deque[tuple[Chunk, asyncio.Task[bytes]]] = deque()
    try:
        for chunk in chunks:
            under_way.append((chunk, asyncio.create_task(form(pipelines.run(), chunk, options))))
            if len(under_way) == WINDOW:
                first, task = under_way.popleft()
                yield await task, first
        while under_way:
            first, task = under_way.popleft()
            yield await task, first
    finally:
        for _, task in under_way:
            task.cancel()


@contextmanager
def folders_of(path: Path) -> Iterator[None]:
    """Creates the missing folders of a path; removes those that are empty after an error. Raises UnusableOutput."""
    missing: list[Path] = []
    try:
        missing += [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnusableOutput(f"{path.parent} cannot be created: {error.strerror}") from None
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for folder in missing:
                folder.rmdir()
        raise

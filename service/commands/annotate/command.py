"""Annotates files with an engine in this process, through the same pipelines as requests."""

import asyncio
import hashlib
import logging
import math
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from service.artifact.version import ModelVersion
from service.commands.annotate.forms import FORMS, Annotate, OutputOptions
from service.commands.annotate.job import Job, choose, plan
from service.commands.annotate.output import (
    STDOUT,
    Output,
    StandardOutput,
    UnusableOutput,
    companions,
    differences,
    read_manifest,
    remove_leftovers,
    silence_standard_output,
    upload_output,
)
from service.commands.annotate.progress import Show
from service.commands.annotate.remote import is_remote, working_copy
from service.commands.annotate.rows import Chunk, UnreadableInput
from service.commands.annotate.source import Source, import_parquet
from service.formats.tagging import GENERATOR
from service.pipelines.in_process import AsyncPipelines, start_pipelines
from service.process import garbage_collection
from service.settings import Settings
from service.store.serving import served

WINDOW = 8  # chunks in progress: enough to fill batches of every length
KEEP_SECONDS = 1.0  # between checkpoints: the work that an interrupt may cost
SWITCH_SECONDS = 0.0001  # the default of 5 ms would make the device wait for its thread at each step


def annotate(settings: Settings, job: Job) -> int:
    """Annotates all files; returns the exit status. Raises TagwerkError."""
    versions, defaults = served(settings)
    versions = choose(versions, replace(job, model=job.model or defaults.get(job.task)))
    labels = [label for labels in versions[0].manifest.labels.values() for label in labels]
    pairs = plan(job, labels)
    if job.dry_run:
        tell(Console(soft_wrap=True, highlight=False, markup=False), pairs, versions)
        return 0
    logging.getLogger("tagwerk").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_SECONDS)
    console = Console(stderr=True)
    try:
        with interrupted_by_sigterm():
            failed = asyncio.run(_annotate(settings, versions, job, pairs, console))
    except KeyboardInterrupt:
        resumable = all(source.can_reread and target != STDOUT for source, target in pairs)
        how = ": the same command goes on from here" if resumable else ""
        console.print(f"stopped{how}", highlight=False, soft_wrap=True)
        return 130
    except BrokenPipeError:
        silence_standard_output()
        return 1
    return int(failed > 0)


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Has SIGTERM do what SIGINT does, also for the first process of a container."""
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def tell(console: Console, pairs: Sequence[tuple[Source, Path]], versions: Sequence[ModelVersion]) -> None:
    """Prints what a run would do."""
    console.print(f"with {', '.join(str(version.key) for version in versions)}")
    for source, target in pairs:
        size = "" if source.size is None else f", {source.size / 1e6:.1f} MB"
        state = ""
        if target != STDOUT and target.exists():
            state = ", which is there already"
        elif target != STDOUT and companions(working_copy(target) if is_remote(target) else target)[0].exists():
            state = ", which was begun"
        console.print(f"{source} ({source.format or 'unknown'}{size}) into {target}{state}")
    console.print(f"{len(pairs)} file{'s' * (len(pairs) != 1)}; nothing was written")


async def _annotate(
    settings: Settings,
    versions: Sequence[ModelVersion],
    job: Job,
    pairs: Sequence[tuple[Source, Path]],
    console: Console,
) -> int:
    """Returns how many of several inputs cannot be read. Raises UnreadableInput for the only one, or if `strict`."""
    failed = 0
    names = ", ".join(str(version.key) for version in versions)
    pipelines: AsyncPipelines | None = None
    async with AsyncExitStack() as stack:
        finisher = import_parquet().make_parquet if job.form == "parquet" else None
        say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
        if not pairs:
            say("no file is in this share")
        for number, (source, target) in enumerate(pairs, 1):
            if target != STDOUT and target.exists():
                remove_leftovers(target)
                say(f"{target} is there already, and stays as it is{difference(target, settings, versions, job)}")
                continue
            place = working_copy(target) if is_remote(target) else target
            try:
                made_from = None if target == STDOUT else facts(settings, versions, job, source)
                if place != target and is_made(place, made_from):
                    upload_output(place, target)
                    say(f"{source}: the complete output of an earlier run is now in {target}")
                    continue
                output = StandardOutput(say) if target == STDOUT else Output(place, made_from, finisher)
                with nullcontext() if target == STDOUT else folders_of(place), output:
                    if pipelines is None:  # loaded only after the output has been opened
                        # A file fills its batches, so one batch size is enough.
                        whole_batches = settings.model_copy(update={"batch_sizes": settings.batch_sizes[-1:]})
                        with console.status(f"loading {names}") if console.is_terminal else nullcontext():
                            pipelines = await stack.enter_async_context(start_pipelines(whole_batches, versions))
                        garbage_collection.tune()
                    which = f"{number} of {len(pairs)}: " if len(pairs) > 1 else ""
                    show = Show(console, source, output, which, str(target))
                    await _annotate_file(pipelines, settings, job, source, output, show)
                if place != target and target != STDOUT:
                    upload_output(place, target)
            except UnreadableInput as error:
                if len(pairs) == 1 or job.strict:
                    raise
                failed += 1
                say(f"left out: {error}")
    if failed:
        say(f"{failed} of {len(pairs)} files are left out")
    return failed


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


def facts(settings: Settings, versions: Sequence[ModelVersion], job: Job, source: Source) -> dict[str, str] | None:
    """Returns everything that determines the bytes of an output; None for an input that cannot be reread.

    Excluded are the line length limit, which only decides whether there is an output, and device, threads and batch
    sizes, which affect at most the last digits of probabilities.

    Raises UnreadableInput.
    """
    if (digest := source.digest()) is None:
        return None
    return {**facts_of_run(settings, versions, job), "input format": source.format or "", "input content": digest}


def facts_of_run(settings: Settings, versions: Sequence[ModelVersion], job: Job) -> dict[str, str]:
    """Returns the facts that all outputs of a run have in common."""
    options = {
        "text column": job.text_column,
        "tokenized": "yes" if job.tokenized else None,
        "prefix": job.prefix or None,
        "n-best": str(job.n_best) if job.n_best > 1 else None,
        "strict": "yes" if job.strict else None,
        "limit": None if job.limit is None else str(job.limit),
    }
    manifests = "".join(version.manifest.model_dump_json() for version in versions)
    return {
        "program": GENERATOR,
        "task": job.task,
        "format": job.form,
        "model": ", ".join(str(version.key) for version in versions),
        "model content": hashlib.sha256(manifests.encode()).hexdigest(),
        "TAGWERK_LENGTH_BUCKETS": ",".join(map(str, settings.length_buckets)) or "as the models have them",
        **{name: value for name, value in options.items() if value is not None},
    }


def is_made(place: Path, made_from: Mapping[str, str] | None) -> bool:
    """Says whether an earlier run has made an output of the same facts and not copied it; removes one of others."""
    if not place.exists():
        return False
    made = read_manifest(place)
    if made is not None and made.facts == made_from:
        return True
    place.unlink()
    return False


def difference(target: Path, settings: Settings, versions: Sequence[ModelVersion], job: Job) -> str:
    """Says how a complete output was made otherwise than this run would make it; "" if it was not.

    The input's content is not read for that.
    """
    made = read_manifest(target)
    if made is None:
        return ""
    now = facts_of_run(settings, versions, job)
    before = {name: value for name, value in made.facts.items() if not name.startswith("input ")}
    changed = differences(before, now)
    return f", made with {'; '.join(changed)}: remove it to have it made anew" if changed else ""


async def _annotate_file(
    pipelines: AsyncPipelines,
    settings: Settings,
    job: Job,
    source: Source,
    output: Output | StandardOutput,
    show: Show,
) -> None:
    kept = -math.inf
    form, options = FORMS[job.task, job.form], OutputOptions(job.prefix, job.n_best)
    left = None if job.limit is None else job.limit - output.rows - output.rejected
    chunks = source.chunks(output.position, settings.max_text_characters, left)
    with show:
        async with aclosing(annotated(pipelines, form, options, chunks)) as annotations:
            async for content, chunk in annotations:
                output.write(content, chunk.end, len(chunk.rows), chunk.rejected)
                if time.monotonic() - kept > KEEP_SECONDS:
                    output.keep()
                    kept = time.monotonic()
                show.reached()
        if output.rejected and not output.rows:
            raise UnreadableInput(f"{source}: all {output.rejected} rows are bad{output.where_rejected}")
        output.finish(str(source))
        show.done()


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

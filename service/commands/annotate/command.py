"""Annotates files with an engine in this process, through the same pipelines as requests."""

import asyncio
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from service.artifact.version import ModelVersion
from service.commands.annotate.annotator import Annotator
from service.commands.annotate.job import STANDARD, Cluster, Job, choose
from service.commands.annotate.output import silence_standard_output
from service.commands.annotate.plan import plan
from service.commands.annotate.progress import say
from service.commands.annotate.records import companions, difference, is_made
from service.commands.annotate.remote import is_remote, url_of, working_copy
from service.commands.annotate.rows import UnreadableInput, import_extra
from service.commands.annotate.source import Source
from service.settings import Settings
from service.store.serving import served

SWITCH_SECONDS = 0.0001  # the default of 5 ms would make the device wait for its thread at each step


def annotate(settings: Settings, job: Job, cluster: Cluster | None = None) -> int:
    """Annotates all files, here or on a Ray cluster; returns the exit status. Raises TagwerkError."""
    versions, defaults = served(settings)
    job = replace(job, model=job.model or defaults.get(job.task), longest_text=settings.max_text_characters)
    version = choose(versions, job)
    pairs = plan(job)
    if job.dry_run:
        return int(print_plan(Console(), pairs, version, job) > 0)
    logging.getLogger("tagwerk").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_SECONDS)
    console = Console(stderr=True)
    try:
        with interrupted_by_sigterm():
            if cluster is None:
                failed = asyncio.run(_annotate(settings, version, job, pairs, console))
            else:
                on_ray = import_extra("service.commands.annotate.on_ray", "ray", "--ray")
                failed = on_ray.annotate_on_ray(settings, version, job, pairs, cluster, console)
    except KeyboardInterrupt:
        resumable = all(source.can_reread and target != STANDARD for source, target in pairs)
        how = ": the same command resumes from here" if resumable else ""
        say(console, f"stopped{how}")
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


def print_plan(console: Console, pairs: Sequence[tuple[Source, Path]], version: ModelVersion, job: Job) -> int:
    """Prints what a run would do; returns how many inputs it would leave out."""
    say(console, f"with {version.key}")
    failed = 0
    for source, target in pairs:
        try:
            source.look()
        except UnreadableInput as error:
            failed += 1
            say(console, f"left out: {error}")
            continue
        state, place = "", target
        if is_made(target):
            state = ", which is there already"
        elif target != STANDARD:
            place = working_copy(target) if is_remote(target) else target
            state = ", which was begun" if companions(place)[0].exists() else ""
        size = "" if source.size is None else f", {source.size / 1e6:.1f} MB"
        state += difference(place, version, job) if state else ""
        say(console, f"{source} ({source.format or 'unknown'}{size}) into {url_of(target)}{state}")
    say(console, f"{len(pairs)} file{'s' * (len(pairs) != 1)}; nothing was written")
    return failed


async def _annotate(
    settings: Settings, version: ModelVersion, job: Job, pairs: Sequence[tuple[Source, Path]], console: Console
) -> int:
    """Annotates files here; returns of how many too much is left out: all, as it cannot be read, or too many rows.

    Raises UnreadableInput for the only input, or if the job is strict.
    """
    failed = incomplete = 0
    if not pairs:
        say(console, "no file is in this share")
    async with Annotator(settings, version, job, console) as annotator:
        for number, (source, target) in enumerate(pairs, 1):
            try:
                which = f"{number} of {len(pairs)}: " if len(pairs) > 1 else ""
                _, too_many = await annotator.annotate(source, target, which)
                incomplete += too_many
            except UnreadableInput as error:
                if len(pairs) == 1 or job.strict:
                    raise
                failed += 1
                say(console, f"left out: {error}")
    if failed:
        say(console, f"{failed} of {len(pairs)} files are left out")
    return failed + incomplete

"""Annotates files with an engine in this process, through the same pipelines as requests."""

import asyncio
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from rich.console import Console

from service.artifact.version import ModelVersion
from service.commands.annotate.annotator import Annotator
from service.commands.annotate.facts import difference, facts
from service.commands.annotate.job import Job, choose, plan
from service.commands.annotate.output import check_usable
from service.commands.annotate.records import companions
from service.commands.annotate.remote import is_remote, url_of, working_copy
from service.commands.annotate.rows import UnreadableInput
from service.commands.annotate.source import Source
from service.commands.annotate.standard_output import STDOUT, silence_standard_output
from service.errors import ConfigurationError, install
from service.settings import Settings
from service.store.serving import served

if TYPE_CHECKING:
    from service.commands.annotate.on_ray import Cluster

SWITCH_SECONDS = 0.0001  # the default of 5 ms would make the device wait for its thread at each step


def annotate(settings: Settings, job: Job, cluster: "Cluster | None" = None) -> int:
    """Annotates all files, here or on a Ray cluster; returns the exit status. Raises TagwerkError."""
    versions, defaults = served(settings)
    versions = [choose(versions, replace(job, model=job.model or defaults.get(job.task)))]
    labels = [label for labels in versions[0].manifest.labels.values() for label in labels]
    pairs = plan(job, labels)
    if job.dry_run:
        return int(print_plan(Console(soft_wrap=True, highlight=False, markup=False), pairs, versions, job) > 0)
    logging.getLogger("tagwerk").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_SECONDS)
    console = Console(stderr=True)
    try:
        with interrupted_by_sigterm():
            if cluster is None:
                failed = asyncio.run(_annotate(settings, versions, job, pairs, console))
            else:
                say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
                run = import_on_ray().annotate_on_ray
                failed = run(settings, versions, job, labels, pairs, cluster, say)
    except KeyboardInterrupt:
        resumable = all(source.can_reread and target != STDOUT for source, target in pairs)
        how = ": the same command resumes from here" if resumable else ""
        console.print(f"stopped{how}", highlight=False, soft_wrap=True)
        return 130
    except BrokenPipeError:
        silence_standard_output()
        return 1
    return int(failed > 0)


def import_on_ray() -> ModuleType:
    """Returns the module for Ray. Raises ConfigurationError without the extra that it needs."""
    try:
        from service.commands.annotate import on_ray
    except ImportError:
        raise ConfigurationError(f"--ray needs the extra `ray`: {install('ray')}") from None
    return on_ray


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Has SIGTERM do what SIGINT does, also for the first process of a container."""
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def print_plan(
    console: Console, pairs: Sequence[tuple[Source, Path]], versions: Sequence[ModelVersion], job: Job
) -> int:
    """Prints what a run would do; returns how many inputs it would leave out. Raises UnusableOutput as it would."""
    console.print(f"with {', '.join(str(version.key) for version in versions)}")
    failed = 0
    for source, target in pairs:
        state = ""
        try:
            source.look()
            if target != STDOUT and target.exists():
                state = f", which is there already{difference(target, versions, job)}"
            elif target != STDOUT:
                place = working_copy(target) if is_remote(target) else target
                is_begun = companions(place)[0].exists()
                check_usable(place, facts(versions, job, source) if is_begun else None)
                state = ", which was begun" if is_begun else ""
        except UnreadableInput as error:
            failed += 1
            console.print(f"left out: {error}")
            continue
        size = "" if source.size is None else f", {source.size / 1e6:.1f} MB"
        console.print(f"{source} ({source.format or 'unknown'}{size}) into {url_of(target)}{state}")
    console.print(f"{len(pairs)} file{'s' * (len(pairs) != 1)}; nothing was written")
    return failed


async def _annotate(
    settings: Settings,
    versions: Sequence[ModelVersion],
    job: Job,
    pairs: Sequence[tuple[Source, Path]],
    console: Console,
) -> int:
    """Returns of how many inputs too much is left out: all, as it cannot be read, or too many rows.

    Raises UnreadableInput for the only input, or if `strict`.
    """
    failed = incomplete = 0
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    if not pairs:
        say("no file is in this share")
    async with Annotator(settings, versions, job, console) as annotator:
        for number, (source, target) in enumerate(pairs, 1):
            try:
                which = f"{number} of {len(pairs)}: " if len(pairs) > 1 else ""
                incomplete += (await annotator.annotate(source, target, which)).too_many_rejected
            except UnreadableInput as error:
                if len(pairs) == 1 or job.strict:
                    raise
                failed += 1
                say(f"left out: {error}")
    if failed:
        say(f"{failed} of {len(pairs)} files are left out")
    return failed + incomplete

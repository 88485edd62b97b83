"""Annotates files with an engine in this process, through the same pipelines as requests."""

import logging
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace

from rich.console import Console

from service.artifact.version import ModelVersion
from service.commands.annotate.annotator import Annotator, Done
from service.commands.annotate.job import STANDARD, Job, choose
from service.commands.annotate.output import silence_standard_output
from service.commands.annotate.plan import Pairs, plan
from service.commands.annotate.progress import say
from service.commands.annotate.records import companions, difference, is_made
from service.commands.annotate.remote import url_of, working_copy
from service.commands.annotate.rows import UnreadableInput, import_extra
from service.settings import Settings
from service.store.serving import served

SWITCH_SECONDS = 0.0001  # the default of 5 ms would make the device wait for its thread at each step


def annotate(settings: Settings, job: Job) -> int:
    """Annotates all files, here or on a Ray cluster; returns the exit status. Raises TagwerkError."""
    versions, defaults = served(settings)
    job = replace(job, model=job.model or defaults.get(job.task), longest_text=settings.max_text_characters)
    version = choose(versions, job)
    pairs = plan(job)
    if job.dry_run:
        return int(print_plan(Console(), pairs, version, job) > 0)
    logging.getLogger("tagwerk").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_SECONDS)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # also as a container's first process
    console = Console(stderr=True)
    try:
        if job.ray is None:
            done = annotate_here(settings, version, job, pairs, console)
        else:
            on_ray = import_extra("service.commands.annotate.on_ray", "ray", "--ray")
            done = on_ray.annotate_on_ray(settings, version, job, pairs, console)
        with closing(done):
            return int(_follow(done, pairs, job, console) > 0)
    except KeyboardInterrupt:
        resumable = all(source.can_reread and target != STANDARD for source, target in pairs)
        say(console, f"stopped{': the same command resumes from here' if resumable else ''}")
        return 130
    except BrokenPipeError:
        silence_standard_output()
        return 1


def print_plan(console: Console, pairs: Pairs, version: ModelVersion, job: Job) -> int:
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
        elif target != STANDARD and companions(place := working_copy(target))[0].exists():
            state = ", which was begun"
        state += difference(place, version, job) if state else ""
        size = "" if source.size is None else f", {source.size / 1e6:.1f} MB"
        say(console, f"{source} ({source.format or 'unknown'}{size}) into {url_of(target)}{state}")
    say(console, f"{len(pairs)} file{'s' * (len(pairs) != 1)}; nothing was written")
    return failed


def annotate_here(
    settings: Settings, version: ModelVersion, job: Job, pairs: Pairs, console: Console
) -> Generator[Done, None, None]:
    """Annotates files one after the other; yields what came of each. Raises UnusableOutput."""
    with Annotator(settings, version, job, console) as annotator:
        for number, (source, target) in enumerate(pairs, 1):
            which = f"{number} of {len(pairs)}: " if len(pairs) > 1 else ""
            yield annotator.annotate(source, target, which)


def _follow(done: Iterator[Done], pairs: Pairs, job: Job, console: Console) -> int:
    """Prints which files are left out; returns of how many too much is: all, as it cannot be read, or too many rows.

    Raises UnreadableInput for the only input, or if the job is strict.
    """
    unreadable = incomplete = 0
    if not pairs:
        say(console, "no file is in this share")
    for result in done:
        incomplete += result.too_many
        if result.unreadable:
            if len(pairs) == 1 or job.strict:
                raise UnreadableInput(result.unreadable)
            unreadable += 1
            say(console, f"left out: {result.unreadable}")
    if unreadable:
        say(console, f"{unreadable} of {len(pairs)} files are left out")
    return unreadable + incomplete

"""Annotates files through the same pipelines as requests."""

import logging
import signal
from dataclasses import replace

from rich.console import Console

from service.commands.annotate.annotator import Annotator
from service.commands.annotate.job import STANDARD, Job, choose
from service.commands.annotate.output import silence_standard_output
from service.commands.annotate.plan import Pairs, plan
from service.commands.annotate.progress import say
from service.commands.annotate.rows import UnreadableInput
from service.commands.annotate.uncertain import find, write
from service.settings import Settings
from service.store.serving import served


def annotate(settings: Settings, job: Job) -> int:
    """Annotates all files; returns the exit status. Raises TagwerkError."""
    versions, defaults = served(settings, every_model=True)
    job = replace(job, model=job.model or defaults.get(job.task), longest_text=settings.max_text_characters)
    chosen = [choose(versions, job)]
    if job.identifies:
        chosen += [one for one in versions if one.manifest.task == job.task and one is not chosen[0]]
    pairs = plan(job if job.uncertain is None else replace(job, output=STANDARD))
    logging.getLogger("tagwerk").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # also as a container's first process
    console = Console(stderr=True)
    try:
        with Annotator(settings, chosen, job, console) as annotator:
            if job.uncertain is not None:
                annotator.start()
                write(annotator.run(find(annotator.processes, pairs, job, job.uncertain)), job)
                return 0
            return int(_annotate_all(annotator, pairs, job, console) > 0)
    except KeyboardInterrupt:
        resumable = all(source.can_reread and target != STANDARD for source, target in pairs)
        say(console, f"stopped{': the same command resumes from here' if resumable else ''}")
        return 130
    except BrokenPipeError:
        silence_standard_output()
        return 1


def _annotate_all(annotator: Annotator, pairs: Pairs, job: Job, console: Console) -> int:
    """Annotates files one after the other; returns how many are left out, or have too many bad rows.

    Raises UnreadableInput for the only input, or if the job is strict.
    """
    unreadable = incomplete = 0
    if not pairs:
        say(console, "no file is in this share")
    for number, (source, target) in enumerate(pairs, 1):
        try:
            incomplete += annotator.annotate(source, target, f"{number} of {len(pairs)}: " if len(pairs) > 1 else "")
        except UnreadableInput as error:
            if len(pairs) == 1 or job.strict:
                raise
            unreadable += 1
            say(console, f"left out: {error}")
    if unreadable:
        say(console, f"{unreadable} of {len(pairs)} files are left out")
    return unreadable + incomplete

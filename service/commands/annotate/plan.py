"""Finds the inputs of a job, and an output for each."""

import os
from collections.abc import Sequence
from glob import has_magic
from pathlib import Path, PurePath
from zlib import crc32

from service.commands.annotate import remote
from service.commands.annotate.forms import FORMS
from service.commands.annotate.job import STANDARD, Job
from service.commands.annotate.records import COMPANIONS, UnusableOutput, companions
from service.commands.annotate.remote import is_remote, url_of
from service.commands.annotate.rows import UnreadableInput
from service.commands.annotate.source import Source

Pairs = Sequence[tuple[Source, Path]]
OUTPUT_FORMATS = frozenset(form for _, form in FORMS)
WRITTEN = (*COMPANIONS, *(f".{task}.{form}" for task, form in FORMS))  # ends of the names of what this command writes


def plan(job: Job) -> Pairs:
    """Returns each input with its output path. Raises UnreadableInput, UnusableOutput."""
    index, number = job.shard
    found = (path for argument in job.files or [STANDARD] for path in _found(argument))
    sources = [Source(path, job, name) for path, name in found if crc32(os.fsencode(str(name))) % number == index]
    try:
        pairs = list(zip(sources, _targets(sources, job), strict=True))
        _check_apart(pairs)
    except OSError as error:
        raise UnusableOutput(f"{error.filename} cannot be written: {error.strerror}") from None
    return pairs


def _found(argument: Path) -> Sequence[tuple[Path, PurePath]]:
    """Returns the files that an argument names, each with its name below the argument's folder.

    Of a folder, these are all files but hidden ones and what this command writes. Raises UnreadableInput.
    """
    if argument == STANDARD:
        return [(argument, PurePath("stdin"))]
    try:
        folder, pattern = argument, None
        if not argument.is_dir():
            if not has_magic(str(argument)) or argument.exists():
                return [(argument, PurePath(argument.name))]
            folder, pattern = next(parent for parent in argument.parents if not has_magic(str(parent))), argument
        names = _names(folder, pattern)
    except OSError as error:
        raise UnreadableInput(f"{url_of(argument)} cannot be read: {error.strerror or error}") from None
    found = [
        (folder / str(name), name)
        for name in sorted(names)
        if not any(part.startswith(".") for part in name.parts) and not name.name.endswith(WRITTEN)
    ]
    if not found:
        raise UnreadableInput(f"{url_of(argument)}: no file to annotate")
    return found


def _names(folder: Path, pattern: Path | None) -> Sequence[PurePath]:
    """Returns the names of the files in a folder and below, or of the files that match a pattern."""
    if is_remote(folder):
        return remote.found(folder, None if pattern is None else str(pattern))
    paths = folder.glob("**/*" if pattern is None else str(pattern.relative_to(folder)))
    return [path.relative_to(folder) for path in paths if path.is_file()]


def _targets(sources: Sequence[Source], job: Job) -> list[Path]:
    """Returns the output of each source. Raises UnusableOutput."""
    output = job.output
    names = [f"{source.name.name}.{job.task}.{job.form}" for source in sources]
    if output is None:
        paths = [source.path for source in sources]
        return [path if path == STANDARD else path.with_name(name) for path, name in zip(paths, names, strict=True)]
    if output == STANDARD:
        return [output] * len(sources)
    is_new_folder = not output.exists() and output.suffix.lstrip(".") not in OUTPUT_FORMATS
    if job.output_is_folder or output.is_dir() or (len(sources) > 1 and is_new_folder):
        return [output / str(source.name.with_name(name)) for source, name in zip(sources, names, strict=True)]
    if len(sources) > 1:
        raise UnusableOutput(f"{output} is no folder, and there are {len(sources)} files to annotate")
    return [output] * len(sources)


def _check_apart(pairs: Pairs) -> None:
    """Raises UnusableOutput if an output is no file, or would overwrite another output or an input."""
    inputs = {source.path.resolve() for source, _ in pairs if source.path != STANDARD}
    taken: set[Path] = set()
    for source, target in pairs:
        if target == STANDARD:
            continue
        if target.exists() and not target.is_file():
            raise UnusableOutput(f"{target} is there already and is no file: choose another --output")
        files = {file.resolve() for file in (target, *companions(target))}
        if taken & files:
            raise UnusableOutput("two of the files have the same name, and would have the same output")
        taken |= files
        if clash := sorted(inputs & (files - {target.resolve()})):
            raise UnusableOutput(f"{clash[0]} belongs to the output of {source}: leave it out of the files to annotate")

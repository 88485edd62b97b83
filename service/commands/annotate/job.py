"""The arguments of a run, and what follows from them: the model, and an output for each input."""

import os
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path, PurePath
from zlib import crc32

from service.artifact.version import ModelVersion
from service.commands.annotate import remote
from service.commands.annotate.forms import FORMS, OutputFormat, names_of_results
from service.commands.annotate.records import COMPANIONS, FINISHED, UnusableOutput, companions
from service.commands.annotate.remote import is_remote, url_of
from service.commands.annotate.rows import TEXT_COLUMN, InputFormat, InputOptions, UnreadableInput
from service.commands.annotate.source import STDIN, Source
from service.commands.annotate.standard_output import STDOUT
from service.errors import ModelNotFound

MAX_PREVIEWED_INPUTS = (
    100  # inputs whose beginnings are read before anything is annotated; of more, each when its turn comes
)
OUTPUT_FORMATS = frozenset(form for _, form in FORMS)


@dataclass(frozen=True, slots=True)
class Job:
    """The arguments of a run.

    Attributes:
        files: files, folders, and patterns such as `texts/**/*.csv`; none means standard input.
        output: a file, or a folder for several files; None means a file beside each.
        output_is_folder: whether `output` is a folder also if it does not exist, or if there is one file.
        model: None means the default of the task.
        input_format, text_column, tokenized: see `InputOptions`.
        prefix, n_best: see `OutputOptions`.
        strict, encoding, delimiter: see `InputOptions`.
        allow_bad_rows: whether a run succeeds that leaves out more than MOST_LEFT_OUT of the rows.
        limit: rows of each file, at most.
        shard: index and number of the shares of the files, of which this run has one; by a checksum of their names.
        dry_run: whether only to print what would be done.
    """

    files: Sequence[Path]
    task: str
    form: OutputFormat
    output: Path | None = None
    model: str | None = None
    output_is_folder: bool = False
    input_format: InputFormat | None = None
    text_column: str | None = None
    tokenized: bool = False
    prefix: str = ""
    n_best: int = 1
    strict: bool = False
    encoding: str = "utf-8"
    delimiter: str | None = None
    allow_bad_rows: bool = False
    limit: int | None = None
    shard: tuple[int, int] = (0, 1)
    dry_run: bool = False


def plan(job: Job, labels: Sequence[str] = ()) -> list[tuple[Source, Path]]:
    """Returns each input with its output path. `labels` are those of the model.

    Raises UnreadableInput, UnusableOutput.
    """
    options = input_options(job, labels)
    index, number = job.shard
    found = (path for argument in job.files or [STDIN] for path in _found(argument))
    sources = [Source(path, options, name) for path, name in found if crc32(os.fsencode(str(name))) % number == index]
    for source in sources if len(sources) <= MAX_PREVIEWED_INPUTS else ():
        with nullcontext() if job.strict or len(sources) == 1 else suppress(UnreadableInput):
            source.look()
    try:
        pairs = list(zip(sources, _targets(sources, job), strict=True))
        _check_apart(pairs)
    except OSError as error:
        raise UnusableOutput(f"{error.filename} cannot be written: {error.strerror}") from None
    return pairs


def input_options(job: Job, labels: Sequence[str]) -> InputOptions:
    """Returns how inputs are read. `labels` are those of the model."""
    columns, members = names_of_results(job.task, job.form, job.prefix, labels)
    if (job.task, job.form) == ("tag", "csv"):  # which keeps all columns but that of the texts
        columns -= {job.text_column or TEXT_COLUMN}
    return InputOptions(
        job.task,
        job.input_format,
        job.text_column,
        job.tokenized,
        columns,
        members,
        job.strict,
        typed=job.form == "parquet",
        encoding=job.encoding,
        delimiter=job.delimiter,
    )


def _found(argument: Path) -> Sequence[tuple[Path, PurePath]]:
    """Returns the files that an argument names, each with its name below the argument's folder.

    Of a folder, these are all files but hidden ones and what this command writes. Raises UnreadableInput.
    """
    if argument == STDIN:
        return [(argument, PurePath("stdin"))]
    try:
        if argument.is_dir():
            folder, names = _below(argument)
        elif has_magic(str(argument)) and not argument.exists():
            folder, names = _matching(argument)
        else:
            return [(argument, PurePath(argument.name))]
    except OSError as error:
        raise UnreadableInput(f"{url_of(argument)} cannot be read: {error.strerror or error}") from None
    found = [(folder / str(name), name) for name in sorted(names) if not _is_hidden(name) and not _is_written(name)]
    if not found:
        raise UnreadableInput(f"{url_of(argument)}: no file to annotate")
    return found


def _below(folder: Path) -> tuple[Path, Sequence[PurePath]]:
    """Returns a folder and the names of all files in it and below."""
    if is_remote(folder):
        return remote.found(folder)
    return folder, [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]


def _matching(pattern: Path) -> tuple[Path, Sequence[PurePath]]:
    """Returns the folder above a pattern, and the names of all files in it that match."""
    folder = next(parent for parent in pattern.parents if not has_magic(str(parent)))
    if is_remote(folder):
        return remote.found(folder, str(pattern))
    return folder, [
        path.relative_to(folder) for path in folder.glob(str(pattern.relative_to(folder))) if path.is_file()
    ]


def _is_hidden(name: PurePath) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _is_written(name: PurePath) -> bool:
    """Returns whether a file is named like an output, or what is beside it."""
    outputs = [f".{task}.{form}" for task, form in FORMS]
    return name.name.endswith((*COMPANIONS, *outputs)) or FINISHED in name.suffixes


def _targets(sources: Sequence[Source], job: Job) -> list[Path]:
    output = job.output
    if output is None:
        return [STDOUT if s.path == STDIN else s.path.with_name(_name(s, job)) for s in sources]
    if output == STDOUT:
        return [output] * len(sources)
    is_new_folder = not output.exists() and output.suffix.lstrip(".") not in OUTPUT_FORMATS
    if job.output_is_folder or output.is_dir() or (len(sources) > 1 and is_new_folder):
        return [output / str(source.name.with_name(_name(source, job))) for source in sources]
    if len(sources) == 1:
        return [output]
    raise UnusableOutput(f"{output} is no folder, and there are {len(sources)} files to annotate")


def _check_apart(pairs: Sequence[tuple[Source, Path]]) -> None:
    """Raises UnusableOutput if an output is no file, or would overwrite another output or an input."""
    inputs = {source.path.resolve() for source, _ in pairs if source.path != STDIN}
    taken: set[Path] = set()
    for source, target in pairs:
        if target == STDOUT:
            continue
        if target.exists() and not target.is_file():
            raise UnusableOutput(f"{target} is there already and is no file: choose another --output")
        files = {file.resolve() for file in (target, *companions(target))}
        if taken & files:
            raise UnusableOutput("two of the files have the same name, and would have the same output")
        taken |= files
        if clash := sorted(inputs & (files - {target.resolve()})):
            raise UnusableOutput(f"{clash[0]} belongs to the output of {source}: leave it out of the files to annotate")


def choose(versions: Sequence[ModelVersion], job: Job) -> ModelVersion:
    """Returns the model for the task. Raises ModelNotFound."""
    able = [version for version in versions if version.manifest.task == job.task]
    for version in able:
        if job.model in (None, version.manifest.name):
            return version
    names = ", ".join(version.manifest.name for version in able) or "none"
    raise ModelNotFound(f"no model {job.model or ''!r} in the store does this; there is: {names}")


def _name(source: Source, job: Job) -> str:
    return f"{source.name.name}.{job.task}.{job.form}"

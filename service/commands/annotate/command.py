"""Annotates files with an engine in this process, through the same pipelines as requests."""

import asyncio
import hashlib
import logging
import math
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from service.artifact.version import ModelVersion
from service.commands.annotate.forms import FORMS, Annotate
from service.commands.annotate.output import (
    STDOUT,
    Output,
    StandardOutput,
    UnusableOutput,
    companions,
    remove_leftovers,
    silence_standard_output,
)
from service.commands.annotate.progress import Show
from service.commands.annotate.source import STDIN, Chunk, Position, Source
from service.errors import ArtifactError, ModelNotFound
from service.formats.tagging import GENERATOR
from service.pipelines.catalog import Catalog
from service.pipelines.run import PipelineRun, Resources
from service.process import garbage_collection
from service.process.engine_process import make_engine
from service.settings import Settings
from service.store.serving import served
from service.tasks.lemmatization import Lemmatization
from service.telemetry.metrics import Metrics
from service.telemetry.timing import Timing
from service.text.spacy_tokenizer import SpacyTokenizer
from service.types import State

WINDOW = 8  # chunks in progress: enough to fill batches of every length
KEEP_SECONDS = 1.0  # between checkpoints: the work that an interrupt may cost
DIGEST_CHARACTERS = 16  # of a SHA-256: enough against accidental collisions
SWITCH_SECONDS = 0.0001  # the default of 5 ms would make the device wait for its thread at each step


@dataclass(frozen=True, slots=True)
class Job:
    """The arguments of a run.

    No files means standard input; no output means a file beside each; no model means the task's default.
    """

    files: Sequence[Path]
    task: str
    form: str
    output: Path | None = None
    model: str | None = None


def annotate(settings: Settings, job: Job) -> int:
    """Annotates all files; returns the exit status. Raises TagwerkError."""
    pairs = plan(job)
    versions, defaults = served(settings)
    versions = choose(versions, replace(job, model=job.model or defaults.get(job.task)))
    logging.getLogger("tagwerk").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_SECONDS)
    console = Console(stderr=True)
    try:
        asyncio.run(_annotate(settings, versions, job, pairs, console))
    except KeyboardInterrupt:
        resumable = all(source.size is not None and target != STDOUT for source, target in pairs)
        how = ": the same command goes on from here" if resumable else ""
        console.print(f"stopped{how}", highlight=False, soft_wrap=True)
        return 130
    except BrokenPipeError:
        silence_standard_output()
        return 1
    return 0


def plan(job: Job) -> list[tuple[Source, Path]]:
    """Returns each input with its output path. Raises UnreadableInput, UnusableOutput."""
    sources = [Source(path) for path in job.files or [STDIN]]
    try:
        pairs = list(zip(sources, _targets(sources, job), strict=True))
        _check_apart(pairs)
    except OSError as error:
        raise UnusableOutput(f"{error.filename} cannot be written: {error.strerror}") from None
    return pairs


def _targets(sources: Sequence[Source], job: Job) -> list[Path]:
    output = job.output
    if output is None:
        return [STDOUT if s.path == STDIN else s.path.with_name(_name(s, job)) for s in sources]
    if output == STDOUT or (len(sources) == 1 and not output.is_dir()):
        return [output] * len(sources)
    if output.is_dir():
        return [output / _name(source, job) for source in sources]
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


def choose(versions: Sequence[ModelVersion], job: Job) -> list[ModelVersion]:
    """Returns the model for the task and, if there is one, its lemmatizer. Raises ModelNotFound."""
    able = [version for version in versions if version.manifest.task == job.task]
    for version in able:
        if job.model in (None, version.manifest.name):
            lemmatizers = (other for other in versions if other.manifest.task == "lemmatize" and job.task == "tag")
            return [version, *[other for other in lemmatizers if Lemmatization(other).suits(version)][:1]]
    names = ", ".join(version.manifest.name for version in able) or "none"
    raise ModelNotFound(f"no model {job.model or ''!r} in the store does this; there is: {names}")


def _name(source: Source, job: Job) -> str:
    stem = "stdin" if source.path == STDIN else source.path.name
    return f"{stem}.{job.task}.{job.form}"


async def _annotate(
    settings: Settings,
    versions: Sequence[ModelVersion],
    job: Job,
    pairs: Sequence[tuple[Source, Path]],
    console: Console,
) -> None:
    names = ", ".join(str(version.key) for version in versions)
    resources: Resources | None = None
    try:
        for source, target in pairs:
            if target != STDOUT and target.exists():
                remove_leftovers(target)
                console.print(f"{target} is there already, and stays as it is", highlight=False, soft_wrap=True)
                continue
            output = StandardOutput() if target == STDOUT else Output(target, facts(settings, versions, job, source))
            with output:
                if resources is None:  # loaded only after the output has been opened
                    with console.status(f"loading {names}") if console.is_terminal else nullcontext():
                        resources = await started(settings, versions)
                await _annotate_file(resources, settings, FORMS[job.task, job.form], source, output, console)
    finally:
        if resources is not None:
            await resources.engine.close()


def facts(settings: Settings, versions: Sequence[ModelVersion], job: Job, source: Source) -> dict[str, str] | None:
    """Returns everything that determines the bytes of an output; None for an input that cannot be reread.

    Excluded are the line length limit, which only decides whether there is an output, and device, threads and batch
    sizes, which affect at most the last digits of probabilities.

    Raises UnreadableInput.
    """
    if (digest := source.digest()) is None:
        return None
    manifests = "".join(version.manifest.model_dump_json() for version in versions)
    return {
        "program": GENERATOR,
        "task": job.task,
        "format": job.form,
        "model": ", ".join(str(version.key) for version in versions),
        "model content": hashlib.sha256(manifests.encode()).hexdigest()[:DIGEST_CHARACTERS],
        "TAGWERK_LENGTH_BUCKETS": ",".join(map(str, settings.length_buckets)) or "as the models have them",
        "input content": digest[:DIGEST_CHARACTERS],
    }


async def started(settings: Settings, versions: Sequence[ModelVersion]) -> Resources:
    """Returns the resources of the pipelines, with a started engine in this process. Raises ArtifactError.

    Compiles one batch size only, since a file fills its batches. The chunks in progress bound the queue.
    """
    unbounded = {
        "batch_sizes": settings.batch_sizes[-1:],
        **dict.fromkeys(("max_queue_entries", "max_queue_tokens", "max_items", "max_text_characters"), sys.maxsize),
    }
    settings, metrics = settings.model_copy(update=unbounded), Metrics()
    found = {version.folder: version for version in versions}
    catalog = Catalog(settings.model_store, settings.length_buckets, read=found.__getitem__)
    engine = make_engine(settings, versions, metrics)
    await engine.start(lambda: catalog.update(engine.models()))
    for state in engine.models():
        if state.state is not State.READY:
            raise ArtifactError(f"{state.key} is refused: {state.reason}")
    garbage_collection.tune()
    return Resources(settings, metrics, engine, catalog, SpacyTokenizer())


async def _annotate_file(
    resources: Resources,
    settings: Settings,
    form: Annotate,
    source: Source,
    output: Output | StandardOutput,
    console: Console,
) -> None:
    kept, longest = -math.inf, settings.max_text_characters
    with Show(console, source, output.position) as show:
        async with aclosing(annotated(resources, form, source, output.position, longest)) as annotations:
            async for content, end in annotations:
                output.write(content, end)
                if time.monotonic() - kept > KEEP_SECONDS:
                    output.keep()
                    kept = time.monotonic()
                show.reached(end)
        output.finish()
        show.done(str(output))


async def annotated(
    resources: Resources, form: Annotate, source: Source, start: Position, longest: int
) -> AsyncGenerator[tuple[bytes, Position], None]:
    """Yields the annotations of a source chunk by chunk, each with the position after it.

    Raises UnreadableInput for a line of more than `longest` characters.
    """
    under_way: deque[tuple[Chunk, asyncio.Task[bytes]]] = deque()

    def begin(chunk: Chunk) -> None:
        run = PipelineRun(resources, Timing(time.monotonic()), deadline=math.inf)
        under_way.append((chunk, asyncio.create_task(form(run, chunk.lines, chunk.start.lines + 1))))

    try:
        for chunk in source.chunks(start, longest):
            begin(chunk)
            if len(under_way) == WINDOW:
                first, task = under_way.popleft()
                yield await task, first.end
        while under_way:
            first, task = under_way.popleft()
            yield await task, first.end
    finally:
        for _, task in under_way:
            task.cancel()

"""Annotates files with an engine in this process: read, tokenized, batched and decoded as requests are."""

import asyncio
import logging
import math
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from service import collector
from service.annotate.forms import FORMS, Annotate
from service.annotate.output import STDOUT, Output, StandardOutput, UnusableOutput, silence_standard_output
from service.annotate.progress import Show
from service.annotate.source import STDIN, Chunk, Position, Source
from service.api.call import Call
from service.api.context import Context
from service.api.timing import Timing
from service.engine.protocol import State
from service.engine_process import make_engine
from service.errors import ArtifactError, ModelNotFound
from service.metrics import Metrics
from service.registry import ModelVersion
from service.serving import served
from service.settings import Settings
from service.tasks.catalog import Catalog
from service.tasks.lemmatization import Lemmatization
from service.text.spacy_tokenizer import SpacyTokenizer

WINDOW = 8  # chunks under way: enough that each length finds others to fill a batch with
KEEP_SECONDS = 1.0  # of work that an interrupt may cost
SWITCH_SECONDS = 0.0001  # Python's own 5 ms would keep the device waiting for its thread at each step


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done.

    No files are standard input; no output is a file beside each; no model is the first that does the task.
    """

    files: Sequence[Path]
    task: str
    form: str
    output: Path | None = None
    model: str | None = None


def annotate(settings: Settings, job: Job) -> int:
    """Annotates all files; returns the exit status. Raises TagwerkError."""
    pairs = plan(job)
    versions = choose(served(settings), job)
    logging.getLogger("tagwerk").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_SECONDS)
    console = Console(stderr=True)
    try:
        asyncio.run(_annotate(settings, versions, FORMS[job.task, job.form], pairs, console))
    except KeyboardInterrupt:
        console.print("stopped: the same command goes on from here", highlight=False, soft_wrap=True)
        return 130
    except BrokenPipeError:
        silence_standard_output()
        return 1
    return 0


def plan(job: Job) -> list[tuple[Source, Path]]:
    """Returns what is read and where its annotations go. Raises UnreadableInput, UnusableOutput."""
    sources = [Source(path) for path in job.files or [STDIN]]
    output = job.output
    if output is None:
        targets = [STDOUT if s.path == STDIN else s.path.with_name(_name(s, job)) for s in sources]
    elif output == STDOUT or (len(sources) == 1 and not output.is_dir()):
        targets = [output] * len(sources)
    elif output.is_dir():
        targets = [output / _name(source, job) for source in sources]
    else:
        raise UnusableOutput(f"{output} is no folder, and there are {len(sources)} files to annotate")
    files = [target for target in targets if target != STDOUT]
    if len(set(files)) < len(files):
        raise UnusableOutput("two of the files have the same name, and would have the same output")
    return list(zip(sources, targets, strict=True))


def choose(versions: Sequence[ModelVersion], job: Job) -> list[ModelVersion]:
    """Returns the model that does the task, and behind it those that give its tokens lemmas. Raises ModelNotFound."""
    able = [version for version in versions if version.manifest.task == job.task]
    for version in able:
        if job.model in (None, version.manifest.name):
            lemmatizers = (other for other in versions if other.manifest.task == "lemmatize" and job.task == "tag")
            return [version, *(other for other in lemmatizers if Lemmatization(other).suits(version))]
    names = ", ".join(version.manifest.name for version in able) or "none"
    raise ModelNotFound(f"no model {job.model or ''!r} in the store does this; there is: {names}")


def _name(source: Source, job: Job) -> str:
    stem = "stdin" if source.path == STDIN else source.path.name
    return f"{stem}.{job.task}.{job.form}"


async def _annotate(
    settings: Settings,
    versions: Sequence[ModelVersion],
    form: Annotate,
    pairs: Sequence[tuple[Source, Path]],
    console: Console,
) -> None:
    names = ", ".join(str(version.key) for version in versions)
    wanted = []
    for source, target in pairs:
        if target != STDOUT and target.exists():
            console.print(f"{target} is there already, and stays as it is", highlight=False, soft_wrap=True)
        else:
            wanted.append((source, target))
    if wanted:
        with console.status(f"loading {names}") if console.is_terminal else nullcontext():
            here = await started(settings, versions)
        for source, target in wanted:
            await _annotate_file(here, names, form, source, target, console)
        await here.engine.close()


async def started(settings: Settings, versions: Sequence[ModelVersion]) -> Context:
    """Returns an engine in this process with some models, and what requests need around it. Raises ArtifactError.

    One batch size is all that it compiles: a file fills its batches. What is under way bounds the queue.
    """
    sizes = settings.batch_sizes[-1:]
    unbounded = {"batch_sizes": sizes, "max_queue_entries": sys.maxsize, "max_queue_tokens": sys.maxsize}
    settings, metrics = settings.model_copy(update=unbounded), Metrics()
    found = {version.folder: version for version in versions}
    catalog = Catalog(settings.model_store, settings.length_buckets, read=found.__getitem__)
    engine = make_engine(settings, versions, metrics)
    await engine.start(lambda: catalog.update(engine.models()))
    for state in engine.models():
        if state.state is not State.READY:
            raise ArtifactError(f"{state.key} is refused: {state.reason}")
    collector.calm()
    return Context(settings, metrics, engine, catalog, SpacyTokenizer())


async def _annotate_file(
    here: Context, models: str, form: Annotate, source: Source, target: Path, console: Console
) -> None:
    facts = {"model": models, "input": source.identity} if source.identity else None
    with StandardOutput() if target == STDOUT else Output(target, facts) as output:
        kept = -math.inf
        with Show(console, source, output.position) as show:
            async for content, end in annotated(here, form, source, output.position):
                output.write(content, end)
                if time.monotonic() - kept > KEEP_SECONDS:
                    output.keep()
                    kept = time.monotonic()
                show.reached(end)
            output.finish()
            show.done("standard output" if target == STDOUT else str(target))


async def annotated(
    here: Context, form: Annotate, source: Source, start: Position
) -> AsyncGenerator[tuple[bytes, Position], None]:
    """Yields the annotations of a source chunk by chunk, each with the position that they lead to."""
    under_way: deque[tuple[Chunk, asyncio.Task[bytes]]] = deque()

    def begin(chunk: Chunk) -> None:
        call = Call(here, Timing(time.monotonic()), deadline=math.inf)
        under_way.append((chunk, asyncio.create_task(form(call, chunk.lines, chunk.start.lines + 1))))

    try:
        for chunk in source.chunks(start, here.settings.max_text_characters):
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

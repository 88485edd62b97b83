"""A process that annotates for another one, which reads and writes: what `processes.py` has its executors run."""

import asyncio
import logging
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from contextlib import AsyncExitStack

from service.artifact.version import ModelVersion
from service.commands.annotate.forms import Annotate
from service.commands.annotate.job import Job
from service.commands.annotate.rows import Chunk
from service.pipelines.in_process import AsyncPipelines, start_pipelines
from service.process import memory
from service.settings import Settings
from service.telemetry import logs

_runner = asyncio.Runner()
_opened = AsyncExitStack()  # until the process is killed
_pipelines: AsyncPipelines


def prepare(settings: Settings, folder: str) -> None:
    """Prepares this process, before its first work: it ends when its parent does, however that ends.

    `folder` takes its temporary files; the parent removes it, if it is not killed.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 (it is a child)

    def end_with_parent() -> None:
        parent.join()
        shutil.rmtree(folder, ignore_errors=True)  # if the parent was killed
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    tempfile.tempdir = folder
    logs.set_up(settings)
    logging.getLogger("tagwerk").setLevel(logging.WARNING)


def start(settings: Settings, versions: Sequence[ModelVersion], defaults: dict[str, str]) -> None:
    """Starts the pipelines of this process. Raises ConfigurationError, ArtifactError."""
    global _pipelines
    _pipelines = _runner.run(_opened.enter_async_context(start_pipelines(settings, versions, defaults)))
    memory.tune()


def annotate(form: Annotate, chunks: Sequence[Chunk], job: Job) -> list[bytes]:
    """Returns the annotations of chunks; see `annotate_together`."""
    return _runner.run(annotate_together(_pipelines, form, chunks, job))


async def annotate_together(
    pipelines: AsyncPipelines, form: Annotate, chunks: Sequence[Chunk], job: Job
) -> list[bytes]:
    """Returns the annotations of chunks, all in progress at once, so that they fill batches."""
    return await asyncio.gather(*(form(pipelines.run(), chunk, job) for chunk in chunks))

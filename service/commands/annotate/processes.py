"""The processes that annotate: this one, and others where the input is large enough.

This process reads chunks and writes their annotations in order, so outputs, manifests and the positions to resume from
do not depend on the number of processes. The others only get groups of chunks and return their annotations: a process
that dies loses nothing, since its groups are annotated again by the others.
"""

import asyncio
import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from itertools import islice

from service.artifact.files import private_folder
from service.artifact.manifest import ModelVersion
from service.commands.annotate.forms import INFER, Encode
from service.commands.annotate.job import Job
from service.commands.annotate.rows import Chunk
from service.pipelines.in_process import AsyncPipelines, start_pipelines
from service.process import memory
from service.process.process_count import process_count, uses_gpu
from service.settings import Settings
from service.telemetry import logs

# Chunks annotated together: enough for full batches of sentences of about the same length. A group of so many
# characters, as only long texts have them, takes no further chunk.
GROUP, GROUP_CHARACTERS = 16, 2**20
ROOM = 2  # groups in a process: one is annotated, the next is there
# Rows of a file's batches, and words at most. A file fills its batches, so one batch size is enough; a row costs less
# beside many others.
FILE_BATCH, MOST_WORDS = 96, 2**14  # no more words than a tagger's table of words has rows
FILE_GENERATION_0_OBJECTS = 100_000  # annotations leave no reference cycles, so garbage collections may be rare
GROUPS_IN_PROGRESS = 3  # for each process: one may wait to be written
# Bytes of input that one process annotates in about the time that another takes to start, some 4 s: with as many for
# each process, starting them pays.
WORTH = {"tag": 2**19, "classify": 2**21}

# Of a process that annotates for another one, until it is killed:
_runner = asyncio.Runner()
_opened = AsyncExitStack()
_pipelines: AsyncPipelines


def start(settings: Settings, versions: Sequence[ModelVersion], defaults: Mapping[str, str], folder: str) -> None:
    """Starts the pipelines of this process for its parent; it ends when that does, however that ends.

    `folder` takes its temporary files; the parent removes it, if it is not killed. Raises ConfigurationError,
    ArtifactError.
    """
    global _pipelines
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
    _pipelines = _runner.run(_opened.enter_async_context(start_pipelines(settings, versions, defaults)))
    memory.tune(FILE_GENERATION_0_OBJECTS)


def annotate(encode: Encode, chunks: Sequence[Chunk], job: Job) -> list[bytes]:
    """Returns the annotations of chunks, by the pipelines that `start` has started."""
    return _runner.run(annotate_together(_pipelines, encode, chunks, job))


async def annotate_together(
    pipelines: AsyncPipelines, encode: Encode, chunks: Sequence[Chunk], job: Job
) -> list[bytes]:
    """Returns the annotations of chunks. Their rows are tagged or classified together, so that they fill batches."""
    rows = [row for chunk in chunks for row in chunk.rows]
    made_by, results = await INFER[job.task](pipelines.run(in_turns=False), rows, job)
    of_rows = iter(results)
    return [encode(made_by, list(islice(of_rows, len(chunk.rows))), chunk, job) for chunk in chunks]


def grouped(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """Yields the chunks that are annotated together."""
    group: list[Chunk] = []
    characters = 0
    for chunk in chunks:
        group.append(chunk)
        characters += sum(len(row.text) + sum(map(len, row.tokens or ())) for row in chunk.rows)
        if len(group) == GROUP or characters >= GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def for_files(settings: Settings, versions: Sequence[ModelVersion]) -> Settings:
    """Returns the settings for files, with one batch size."""
    longest = max((length for version in versions for length in version.manifest.length_buckets), default=1)
    rows = max(min(FILE_BATCH, MOST_WORDS // longest), settings.batch_sizes[-1])
    return settings.model_copy(update={"batch_sizes": (rows,)})


def most_processes(settings: Settings, job: Job) -> int:
    """Returns how many processes annotate a large input: by the job, the settings, or the cores and the memory.

    With a GPU it is one by default.
    """
    if job.processes is not None:
        return job.processes
    return 1 if uses_gpu(settings) and not settings.processes else process_count(settings)[0]


class WorkerProcess:
    """Another process.

    Attributes:
        started: done once its pipelines have been started, or cannot be.
    """

    def __init__(self, settings: Settings, versions: Sequence[ModelVersion], defaults: Mapping[str, str]) -> None:
        """Raises OSError."""
        self._stack = ExitStack()  # of its temporary folder, which a later run removes if this process is killed
        folder = self._stack.enter_context(private_folder())
        spawning = multiprocessing.get_context("spawn")  # a fork would copy none of TensorFlow's threads
        self._pool = ProcessPoolExecutor(1, spawning)
        before = multiprocessing.active_children()
        # Ctrl-C in a terminal reaches all processes; this one ends the others. What is blocked, they inherit.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            started = self._pool.submit(start, settings, versions, defaults, str(folder))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        self.started = asyncio.wrap_future(started)
        self._children = [child for child in multiprocessing.active_children() if child not in before]

    async def annotate(self, encode: Encode, group: Sequence[Chunk], job: Job) -> list[bytes]:
        """Returns the annotations of chunks. Raises BrokenProcessPool if the process has died."""
        plain = replace(job, files=(), output=None)  # whose paths may be of object storage
        return await asyncio.wrap_future(self._pool.submit(annotate, encode, group, plain))

    def close(self) -> str:
        """Kills the process, if it has not ended: it has nothing that is needed. Returns how it ended."""
        for child in self._children:
            child.kill()
        self._pool.shutdown()
        self._stack.close()
        return ", ".join(f"exit status {child.exitcode}" for child in self._children)


class Processes:
    """The processes that annotate.

    Attributes:
        are_started: whether this one can annotate.
    """

    def __init__(
        self, settings: Settings, versions: Sequence[ModelVersion], job: Job, say: Callable[[str], None]
    ) -> None:
        """Of several versions, the first is the default. `say` prints a line."""
        self._of_pipelines = for_files(settings, versions), versions, {job.task: versions[0].key.name}
        self._job, self._say = job, say
        self._most = most_processes(settings, job)
        self._free: asyncio.Queue[WorkerProcess | None] = asyncio.Queue()  # each as often as it has room for a group
        self._workers: dict[WorkerProcess, asyncio.Task[None]] = {}  # with their starts
        self._stack = AsyncExitStack()  # of the pipelines
        self.are_started = False
        self._seen = 0  # bytes of all inputs

    async def start(self, size: int = 0) -> None:
        """Starts this process's pipelines, if they are not; others, if `size` more bytes are worth them."""
        self._start_workers(self._seen + size)
        if not self.are_started:
            self._pipelines = await self._stack.enter_async_context(start_pipelines(*self._of_pipelines))
            self._offer(None)
            memory.tune(FILE_GENERATION_0_OBJECTS)
            self.are_started = True

    async def annotated(self, encode: Encode, chunks: Iterator[Chunk]) -> AsyncGenerator[tuple[bytes, Chunk], None]:
        """Yields the annotations of chunks in their order; some are in progress at once. Raises what reading raises."""
        under_way: deque[tuple[list[Chunk], asyncio.Task[list[bytes]]]] = deque()
        try:
            groups = grouped(chunks)
            is_read = False
            while under_way or not is_read:
                while not is_read and len(under_way) < GROUPS_IN_PROGRESS * (1 + len(self._workers)):
                    group = next(groups, [])
                    is_read = not group
                    self._seen += sum(chunk.end.bytes - chunk.start.bytes for chunk in group)
                    self._start_workers(self._seen)
                    if group:
                        under_way.append((group, asyncio.create_task(self._annotate(encode, group))))
                if under_way:
                    group, task = under_way[0]
                    for content, chunk in zip(await task, group, strict=True):
                        yield content, chunk
                    under_way.popleft()
        finally:
            for _, task in under_way:
                task.cancel()

    async def _annotate(self, encode: Encode, group: Sequence[Chunk]) -> list[bytes]:
        """Annotates a group in the first process that has room; in another one if that dies."""
        while True:
            worker = await self._free.get()
            try:
                if worker is None:
                    contents = await annotate_together(self._pipelines, encode, group, self._job)
                else:
                    contents = await worker.annotate(encode, group, self._job)
            except BrokenProcessPool:
                self._leave_out(worker)
                continue
            except BaseException:
                self._free.put_nowait(worker)
                raise
            self._free.put_nowait(worker)
            return contents

    def _start_workers(self, size: int) -> None:
        """Starts as many processes as so many bytes are worth."""
        while (number := 1 + len(self._workers)) < min(self._most, size // WORTH[self._job.task]):
            try:
                worker = WorkerProcess(*self._of_pipelines)
            except OSError as error:
                self._say(f"processes that annotate: {number}, since another cannot be started: {error.strerror}")
                self._most = number
            else:
                self._workers[worker] = asyncio.create_task(self._wait_for(worker))

    async def _wait_for(self, worker: WorkerProcess) -> None:
        """Waits until a process is started, and lets it have groups."""
        try:
            await worker.started
        except Exception as error:  # whatever keeps it from starting does not keep this process from annotating
            self._leave_out(worker, "" if isinstance(error, BrokenProcessPool) else str(error))
        else:
            self._offer(worker)

    def _offer(self, worker: WorkerProcess | None) -> None:
        """Lets a process have groups; None is this one."""
        for _ in range(ROOM):
            self._free.put_nowait(worker)

    def _leave_out(self, worker: WorkerProcess | None, reason: str = "") -> None:
        """Goes on without a process, by default because it has ended."""
        if worker is not None and self._workers.pop(worker, None) is not None:
            ended = worker.close()
            self._most -= 1
            self._say(f"goes on without a process ({reason or ended}): the others annotate what it had")

    async def close(self) -> None:
        """Ends all processes but this one, at once, and closes its pipelines."""
        for worker, start in self._workers.items():
            start.cancel()
            worker.close()
        await self._stack.aclose()

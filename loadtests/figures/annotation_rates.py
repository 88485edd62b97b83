"""`tagwerk annotate` and the step alone, in turn: for each line that it reads, seconds to spend on each, it prints both
rates in tokens per second.

The texts are those of the load, over and over, without new words. The step runs full batches of their sentences,
tokenized, encoded and padded beforehand, one after the other: what a device can do that never waits.
"""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, cycle

from loadtests.text import running_text
from service.artifact.manifest import ModelVersion
from service.backend.saved_model import TensorFlowBackend
from service.commands.annotate.command import choose
from service.commands.annotate.forms import tag_conllu
from service.commands.annotate.job import Job
from service.commands.annotate.processes import Processes, for_files
from service.commands.annotate.rows import Chunk, Position, Row
from service.commands.annotate.source import CHUNK_ROWS
from service.engine.scheduler import Grid
from service.settings import Settings, load_settings
from service.store.serving import served
from service.tasks.tagging import Tagging
from service.text.interruptible import finish
from service.text.languages import ENGLISH, named_tokenizer
from service.text.tokenizer import Tokenizer
from service.types import Array, Ragged, pad


def endless_chunks(seconds: float) -> Iterator[Chunk]:
    """Yields the texts of the load for some seconds, in the form that `service.commands.annotate.source` gives."""
    lines, done = cycle(running_text()), Position()
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        end = Position(done.lines + CHUNK_ROWS, done.bytes)
        yield Chunk([Row(done.lines + i, next(lines).text) for i in range(1, CHUNK_ROWS + 1)], done, end)
        done = end


async def annotation_rate(processes: Processes, seconds: float) -> float:
    """Returns the tokens per second of an annotation to CoNLL-U."""
    words = (finish(named_tokenizer(ENGLISH).words(sentence.text)) for sentence in running_text())
    tokens = sum(map(len, words))
    tokens_of_a_line = tokens / len(running_text())
    lines, began = 0, time.perf_counter()
    async for _, chunk in processes.annotated(tag_conllu, endless_chunks(seconds)):
        lines = chunk.end.lines
    return lines * tokens_of_a_line / (time.perf_counter() - began)


def full_batches(version: ModelVersion, settings: Settings, grid: Grid) -> list[dict[str, Array]]:
    """Returns the sentences of the load in full batches of a length; those too few for one are left out."""
    tagging, tokenizer = Tagging(version, grid.lengths[-1]), Tokenizer()
    rows = grid.batch_sizes[-1]
    lanes: defaultdict[int, list[Ragged]] = defaultdict(list)
    for sentence in chain.from_iterable(tokenizer.sentences(sentence.text) for sentence in running_text()):
        sequences = finish(tagging.encode([[token.text for token in sentence.tokens]]))
        for one in sequences.split([1] * len(sequences)):
            lanes[grid.bucket(one.tokens)].append(one)
    return [
        pad(Ragged.of([one.values for one in lane[first : first + rows]]), (rows, length))
        for length, lane in lanes.items()
        for first in range(0, len(lane) - rows + 1, rows)
    ]


def main() -> None:
    """Loads the model twice, for each way once; says `ready`, then measures."""
    settings = load_settings()
    job = Job([], "tag", "conllu", processes=1)
    versions = choose(served(settings)[0], job)
    version = versions[0]
    with asyncio.Runner() as runner:
        processes = Processes(settings, versions, job, print)
        runner.run(processes.start())
        model = TensorFlowBackend(settings.device).load_sequence_model(version.folder, version.manifest)
        grid = Grid(for_files(settings, versions).batch_sizes, version.manifest.length_buckets)
        for _ in model.warm_up(grid.batch_sizes, grid.capacity):
            pass
        batches = full_batches(version, settings, grid)
        for batch in batches:
            model.start(batch)()
        runner.run(annotation_rate(processes, 1.0))
        print("ready", flush=True)
        for line in sys.stdin:
            whole = runner.run(annotation_rate(processes, float(line)))
            tokens, began = 0, time.perf_counter()
            for batch in cycle(batches):
                model.start(batch)()
                tokens += int(batch["lengths"].sum())
                if time.perf_counter() - began > float(line):
                    break
            print(whole, tokens / (time.perf_counter() - began), flush=True)
        runner.run(processes.close())


if __name__ == "__main__":
    main()

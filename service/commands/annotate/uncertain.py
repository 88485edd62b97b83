"""Chooses the texts that are most worth correcting: the model is least sure of them, and they are unlike each other."""

import csv
import heapq
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from service.artifact.manifest import ModelVersion
from service.commands.annotate.forms import Encode
from service.commands.annotate.job import STANDARD, Job
from service.commands.annotate.plan import Pairs
from service.commands.annotate.processes import Processes
from service.commands.annotate.records import UnusableOutput
from service.commands.annotate.rows import Chunk, Position
from service.files import write_output
from service.pipelines import formats
from service.pipelines.tagging import TaggedText
from service.tasks.sentiment import Classification, Sentiment
from service.text.interruptible import finish

KEPT = 10  # texts in memory for each that is chosen
ALIKE = 0.5  # share of common words; of two texts that have as many or more, one is chosen


class Found(NamedTuple):
    """A text: one less the mean confidence of its labels, its words in lower case, what is written of it."""

    doubt: float
    words: tuple[str, ...]
    written: str


def tag_found(model: ModelVersion, texts: Sequence[TaggedText], chunk: Chunk, job: Job) -> bytes:
    """Encodes each text as CoNLL-U, with the mean doubt of its tokens."""
    found = []
    for row, text in zip(chunk.rows, texts, strict=True):
        if tags := [tag for sentence in text.tags for tag in sentence]:
            words = tuple(sorted({token.text.lower() for one in text.sentences for token in one.tokens}))
            encoded = finish(formats.write_conllu(model, [text], numbers=[row.line], with_generator=False))
            found.append(Found(1 - sum(tag.confidence for tag in tags) / len(tags), words, b"".join(encoded).decode()))
    return msgspec.json.encode(found)


def classify_found(task: Sentiment, results: Sequence[Classification | None], chunk: Chunk, job: Job) -> bytes:
    """Encodes each text as a row of CSV with its label, and how improbable that is."""
    found = []
    for row, result in zip(chunk.rows, results, strict=True):
        if result is not None:
            csv.writer(line := io.StringIO(newline=""), lineterminator="\n").writerow([row.text, result.label])
            words = tuple(sorted(set(row.text.lower().split())))
            found.append(Found(1 - result.scores[result.label], words, line.getvalue()))
    return msgspec.json.encode(found)


async def find(processes: Processes, pairs: Pairs, job: Job, count: int) -> list[Found]:
    """Returns the texts of files that are most worth correcting, at most `count`. The processes have been started."""
    encode: Encode = tag_found if job.task == "tag" else classify_found
    pool: list[Found] = []
    for source, _ in pairs:
        with source:
            async for content, _ in processes.annotated(encode, source.chunks(Position(), job.limit)):
                new = msgspec.json.decode(content, type=list[Found])
                pool = heapq.nlargest(KEPT * count, {found.words: found for found in [*pool, *new]}.values())
    return list(unlike(pool, count))


def unlike(ordered: Sequence[Found], count: int) -> Iterator[Found]:
    """Yields at most `count` of the texts, in their order, none like another that was yielded before it."""
    chosen: list[frozenset[str]] = []
    for found in ordered:
        words = frozenset(found.words)
        if len(chosen) < count and all(len(words & one) < ALIKE * len(words | one) for one in chosen):
            chosen.append(words)
            yield found


def check_output(job: Job) -> None:
    """Raises UnusableOutput if the output exists."""
    if job.output not in (None, STANDARD) and job.output.exists():
        raise UnusableOutput(f"{job.output} is there already, and may have been corrected: name another --output")


def write(found: Sequence[Found], job: Job) -> None:
    """Writes texts as a file to be corrected: CoNLL-U of a tagger, CSV of a classifier.

    Raises UnusableOutput, ConfigurationError.
    """
    content = ("" if job.task == "tag" else "text,label\n") + "".join(each.written for each in found)
    check_output(job)  # it may have been made meanwhile
    write_output(None if job.output == STANDARD else job.output, content)

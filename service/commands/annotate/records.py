"""What is written beside an output: the manifest, which says what is made of what, how, and how far."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import msgspec

from service.artifact.manifest import ModelVersion
from service.commands.annotate.job import Job
from service.commands.annotate.rows import Chunk, Position
from service.errors import TagwerkError
from service.pipelines.formats import GENERATOR

# Behind the name of an output: the output before it is complete, bad rows, the manifest, and the last steps of both.
COMPANIONS = (".partial", ".rejected.jsonl", ".manifest.json", ".partial.finished", ".manifest.json.new")
SHA256_CHARACTERS = 64
DIGEST_CHARACTERS = 16  # that are shown
MOST_LEFT_OUT = 0.01  # of the rows, or of the lines
FORMAT = "8"  # increment when this record, or the bytes of any annotation, change
DETERMINING = "language text_column tokenized prefix n_best strict encoding delimiter limit".split()  # of a job
Count = Annotated[int, msgspec.Meta(ge=0)]


class UnusableOutput(TagwerkError):  # noqa: N818 (says what happened)
    """The output cannot be written, or was begun by a run with other settings."""


class RunManifest(msgspec.Struct, kw_only=True):
    """The contents of `<output>.manifest.json`. A run resumes from it; afterwards it records how the output was made.

    Attributes:
        input: the input's path.
        facts: everything that determines the bytes of the output, by name. A run resumes if they are equal; one
            without any does not.
        rows, rejected: rows that were annotated, and bad ones.
        lines, rejected_lines: lines of the input up to there, and those of bad rows.
        input_bytes, again: the rest of that position, see `Position`.
        partial_bytes, rejected_bytes: the valid bytes of the partial file, and of the file of bad rows.
        output, output_bytes, output_sha256: name, size and SHA-256 of the complete output.
    """

    input: str = ""
    facts: dict[str, str] = {}
    rows: Count = 0
    rejected: Count = 0
    lines: Count = 0
    rejected_lines: Count = 0
    input_bytes: Count = 0
    again: Count = 0
    partial_bytes: Count = 0
    rejected_bytes: Count = 0
    output: str = ""
    output_bytes: Count = 0
    output_sha256: str = ""

    @property
    def position(self) -> Position:
        """The position in the input up to which there are annotations."""
        return Position(self.lines, self.input_bytes, self.again)

    @property
    def rows_read(self) -> int:
        """Rows up to there, bad ones among them."""
        return self.rows + self.rejected

    @property
    def leaves_out_too_many(self) -> bool:
        """Whether more than MOST_LEFT_OUT of the rows, or of the lines, are bad."""
        too_many_rows = self.rejected > MOST_LEFT_OUT * self.rows_read
        return too_many_rows or self.rejected_lines > MOST_LEFT_OUT * self.lines

    def add(self, chunk: Chunk) -> None:
        """Counts a chunk that was written."""
        self.lines, self.input_bytes, self.again = chunk.end
        self.rows += len(chunk.rows)
        self.rejected += len(chunk.rejected)
        self.rejected_lines += sum(row.lines for row in chunk.rejected)


def companions(path: Path) -> list[Path]:
    """Returns the files beside an output, in the order of COMPANIONS."""
    return [path.with_name(path.name + end) for end in COMPANIONS]


def read_run_manifest(path: Path) -> RunManifest | None:
    """Returns the manifest of an output; None if there is none that is valid."""
    try:
        return msgspec.json.decode(companions(path)[2].read_bytes(), type=RunManifest)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None


def facts(versions: Sequence[ModelVersion], job: Job) -> dict[str, str]:
    """Returns what determines the bytes of outputs, besides the inputs.

    Excluded are the longest text, which only decides whether there is an output, and device, threads and batch sizes,
    which affect at most the last digits of probabilities.
    """
    options = [(field, getattr(job, field.name)) for field in fields(job) if field.name in DETERMINING]
    manifests = [version.manifest.model_dump_json() for version in versions]
    return {
        "program": f"{GENERATOR}, records {FORMAT}",
        "task": job.task,
        "format": job.form,
        "model": ", ".join(str(version.key) for version in versions),
        "model content": hashlib.sha256("".join(manifests).encode()).hexdigest(),
        **{field.name.replace("_", " "): str(value) for field, value in options if value != field.default},
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Describes each fact that differs; "" if none does."""
    pairs = {name: (before.get(name), now.get(name)) for name in (*before, *now)}
    return "; ".join(
        f"{f'no {name}' if one is None else f'{name} {_brief(one)}'}, not {_brief(other or 'none')}"
        for name, (one, other) in pairs.items()
        if one != other
    )


def _brief(value: str) -> str:
    """Returns a fact as it is shown: of a checksum, the beginning."""
    return value[:DIGEST_CHARACTERS] if len(value) == SHA256_CHARACTERS else value

"""What a run of `tagwerk annotate` is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service.artifact.version import ModelVersion
from service.errors import ModelNotFound

InputFormat = Literal["text", "csv", "tsv", "jsonl", "conllu", "parquet"]
OutputFormat = Literal["conllu", "jsonl", "csv", "parquet"]
TEXT_COLUMN = "text"
LONGEST_LINE = 2**24  # characters of a line, at most
STANDARD = Path("-")  # standard input, or standard output


@dataclass(frozen=True, slots=True)
class Job:
    """The arguments of a run, as `arguments.py` describes them.

    Attributes:
        files: none means standard input.
        form: the format of outputs.
        output_is_folder: whether `output` is a folder also if it does not exist, or if there is one file.
        shard: the index of this run's share of the files, and the number of shares; by a checksum of their names.
        longest_text: characters of a text, at most: an option of the service.
    """

    files: Sequence[Path]
    task: str
    form: OutputFormat
    output: Path | None = None
    model: str | None = None
    output_is_folder: bool = False
    input_format: InputFormat | None = None
    text_column: str = TEXT_COLUMN
    tokenized: bool = False
    prefix: str = ""
    n_best: int = 1
    strict: bool = False
    encoding: str = "utf-8"
    delimiter: str | None = None
    allow_bad_rows: bool = False
    limit: int | None = None
    shard: tuple[int, int] = (0, 1)
    longest_text: int = LONGEST_LINE


def choose(versions: Sequence[ModelVersion], job: Job) -> ModelVersion:
    """Returns the model for the task. Raises ModelNotFound."""
    able = [version for version in versions if version.manifest.task == job.task]
    for version in able:
        if job.model in (None, version.manifest.name):
            return version
    names = ", ".join(version.manifest.name for version in able) or "none"
    raise ModelNotFound(f"no model {job.model or ''!r} in the store does this; there is: {names}")

"""What a run of `tagwerk annotate` is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service.artifact.version import ModelVersion
from service.errors import ModelNotFound
from service.pipelines.tagging import AUTO
from service.text.languages import primary

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
        language: of all texts, or AUTO.
        output_is_folder: whether `output` is a folder also if it does not exist, or if there is one file.
        shard: the index of this run's share of the files, and the number of shares; by a checksum of their names.
        longest_text: characters of a text, at most: an option of the service.
        processes: that annotate, at most; by default by what the machine has.
    """

    files: Sequence[Path]
    task: str
    form: OutputFormat
    output: Path | None = None
    model: str | None = None
    language: str | None = None
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
    uncertain: int | None = None
    shard: tuple[int, int] = (0, 1)
    longest_text: int = LONGEST_LINE
    processes: int | None = None

    @property
    def identifies(self) -> bool:
        """Whether the language of each row is identified."""
        return self.language == AUTO


def choose(versions: Sequence[ModelVersion], job: Job) -> ModelVersion:
    """Returns the model for the task. Raises ModelNotFound."""
    able = [version for version in versions if version.manifest.task == job.task]
    if job.language is not None and not job.identifies:
        wanted = primary(job.language)
        found = [version for version in able if primary(version.manifest.language) == wanted]
        if not found:
            languages = ", ".join(sorted({version.manifest.language for version in able})) or "none"
            raise ModelNotFound(f"no model of the language {job.language!r} is in the store; there is: {languages}")
        return found[0]
    for version in able:
        if job.model in (None, version.manifest.name):
            return version
    names = ", ".join(version.manifest.name for version in able) or "none"
    raise ModelNotFound(f"no model {job.model or ''!r} in the store does this; there is: {names}")

"""What a run of `tagwerk annotate` is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from service.artifact.version import ModelVersion
from service.errors import ModelNotFound

InputFormat = Literal["text", "csv", "tsv", "jsonl", "conllu", "parquet"]
OutputFormat = Literal["conllu", "jsonl", "csv", "parquet"]
TEXT_COLUMN = "text"
LONGEST_LINE = 2**24  # characters of a line, at most
STANDARD = Path("-")  # standard input, or standard output


@dataclass(frozen=True, slots=True)
class Job:
    """The arguments of a run.

    Attributes:
        files: files, folders, and patterns such as `texts/**/*.csv`; none means standard input.
        form: the format of outputs.
        output: a file, or a folder for several files; None means a file beside each.
        model: None means the default of the task.
        output_is_folder: whether `output` is a folder also if it does not exist, or if there is one file.
        input_format: of all inputs; None determines it by name and content.
        text_column: column of tables, or member of JSON objects, that has the text.
        tokenized: texts are tokens separated by spaces.
        prefix: what the names of results begin with.
        n_best: tags for each token, in JSON.
        strict: a bad row is an error; otherwise it is left out.
        encoding: of all inputs but Parquet; one in which line ends and delimiters are as in ASCII.
        delimiter: of CSV; None determines it by the header.
        allow_bad_rows: whether a run succeeds that leaves out too many rows.
        limit: rows of each file, at most.
        shard: index and number of the shares of the files, of which this run has one; by a checksum of their names.
        dry_run: whether only to print what would be done.
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
    dry_run: bool = False
    longest_text: int = LONGEST_LINE

    @property
    def is_typed(self) -> bool:
        """Whether the columns of outputs have types, so that rows need their values."""
        return self.form == "parquet"


class Cluster(NamedTuple):
    """The Ray cluster of a run, and the resources of each actor.

    Attributes:
        address: of the cluster; "" starts one on this machine.
        actors: the least and the largest number of actors, each of which annotates a file at a time.
        cpus, gpus: those of each actor.
    """

    address: str
    actors: tuple[int, int]
    cpus: float = 1.0
    gpus: float = 0.0


def choose(versions: Sequence[ModelVersion], job: Job) -> ModelVersion:
    """Returns the model for the task. Raises ModelNotFound."""
    able = [version for version in versions if version.manifest.task == job.task]
    for version in able:
        if job.model in (None, version.manifest.name):
            return version
    names = ", ".join(version.manifest.name for version in able) or "none"
    raise ModelNotFound(f"no model {job.model or ''!r} in the store does this; there is: {names}")

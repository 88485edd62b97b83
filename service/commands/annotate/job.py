"""What a run of `tagwerk annotate` is asked for, and the arguments that say so."""

import argparse
import codecs
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from service.settings import Settings
from service.text.identifier import AUTO

InputFormat = Literal["text", "csv", "tsv", "jsonl", "conllu", "parquet"]
OutputFormat = Literal["conllu", "jsonl", "csv", "parquet"]
TEXT_COLUMN = "text"
LONGEST_LINE = 2**24  # characters of a line, at most
STANDARD = Path("-")  # standard input, or standard output


@dataclass(frozen=True, slots=True)
class Job:
    """The arguments of a run, as `add_arguments` describes them.

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments to a parser. Those of the same name as a field of `Job` are that."""
    parser.set_defaults(error=parser.error)
    parser.epilog = "An interrupted run resumes where it stopped when the same command is given again."
    add = parser.add_argument
    add(
        "files",
        nargs="*",
        metavar="FILE",
        help="lines of text, CSV, TSV, JSON Lines or CoNLL-U, also compressed with gzip, bzip2 or xz, or Parquet; "
        "folders, and quoted patterns such as 'texts/**/*.csv', stand for the files in them; addresses such as "
        "s3://bucket/texts for files elsewhere; standard input by default",
    )
    add("--task", required=True, choices=["tag", "classify"])
    add("--format", dest="form", default="jsonl", choices=get_args(OutputFormat), help="jsonl by default")
    about = "a file, a folder for several, an address of one, or - for standard output; by default FILE.TASK.FORMAT"
    add("--output", help=f"{about} beside each FILE")
    add("--model", help="its name; by default the default model of the task")
    about = "of the texts, such as fr; auto identifies that of each, or reads it in a column or member `language`"
    add("--language", metavar="TAG", help=about)
    add("--input-format", choices=get_args(InputFormat), help="of all FILEs; by default determined by name and content")
    about = "column of tables, or member of JSON objects, with the text: text by default"
    add("--text-column", default=TEXT_COLUMN, metavar="NAME", help=about)
    add("--encoding", type=_encoding, default="utf-8", metavar="NAME", help="of all FILEs: utf-8 by default")
    about = "of CSV; by default determined by the header, or a line such as sep=; before it"
    add("--delimiter", type=_delimiter, metavar="CHARACTER", help=about)
    add("--tokenized", action="store_true", help="texts are sentences of tokens separated by spaces")
    about = "write the N texts that are most worth correcting instead: as CoNLL-U of a tagger, as CSV of a classifier"
    add("--uncertain", type=int, metavar="N", help=about)
    about = "tags for each token, in jsonl: 1 by default"
    add("--n-best", type=int, choices=range(1, 6), default=1, metavar="N", help=about)  # 5 at most, as in /tag
    about = "end at the first bad row; by default they go into OUTPUT.rejected.jsonl"
    add("--strict", action="store_true", help=about)
    about = "exit with 0 even if more than 1 %% of the rows are left out"
    add("--allow-bad-rows", action="store_true", help=about)
    add("--limit", type=int, metavar="N", help="rows of each FILE, at most")
    about = "of the FILEs, only the I-th of N shares, I from 0 to N - 1"
    add("--shard", type=_shard, default="0/1", metavar="I/N", help=about)
    about = "that annotate a large input, at most: by default TAGWERK_PROCESSES, or one for each core; one with a GPU"
    add("--processes", type=int, metavar="N", help=about)
    add("--prefix", default="", help="what the names of results begin with, beside columns of the input")


def _shard(text: str) -> tuple[int, int]:
    """Returns the index and the number of shares. Raises ArgumentTypeError."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not found or int(found[1]) >= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N, where I is from 0 to N - 1")
    return int(found[1]), int(found[2])


def _encoding(name: str) -> str:
    """Returns the name of an encoding. Raises ArgumentTypeError for one in which lines do not end as in ASCII."""
    try:
        is_like_ascii = '\r\n",'.encode(name) == b'\r\n",'
    except (LookupError, UnicodeError):
        raise argparse.ArgumentTypeError(f"{name!r} is none that Python knows: utf-8, cp1252, shift_jis, …") from None
    if not is_like_ascii:
        raise argparse.ArgumentTypeError(f"convert the files to UTF-8, with iconv -f {name} -t UTF-8 for instance")
    return codecs.lookup(name).name.removesuffix("-sig")


def _delimiter(text: str) -> str:
    """Returns a delimiter, a tab for `\\t`. Raises ArgumentTypeError if csv does not take it."""
    character = "\t" if text == "\\t" else text
    if len(character) != 1 or character in '"\r\n':
        raise argparse.ArgumentTypeError(f"{text!r} is no single character such as ';' or '|', nor \\t for a tab")
    return character


def check(parsed: argparse.Namespace) -> None:
    """Exits with a message if the arguments do not go together."""
    task, form, to_stdout = parsed.task, parsed.form, parsed.output == "-" or not (parsed.output or parsed.files)
    for is_wrong, message in (
        ((task, form) == ("classify", "conllu"), "CoNLL-U cannot hold classifications: use --format jsonl or csv"),
        (task != "tag" and parsed.tokenized, "--tokenized is for --task tag"),
        (task != "tag" and parsed.language, "--language is for --task tag"),
        (parsed.model and parsed.language not in (None, "auto"), "--model has its language: leave out --language"),
        (form == "parquet" and to_stdout, "Parquet cannot go to standard output: name an --output"),
        (parsed.n_best != 1 and (task, form) != ("tag", "jsonl"), "--n-best is for --task tag --format jsonl"),
        (parsed.delimiter and parsed.input_format not in (None, "csv"), "--delimiter is for --input-format csv"),
        (parsed.strict and parsed.allow_bad_rows, "--strict ends at the first bad row: leave out --allow-bad-rows"),
        (parsed.limit is not None and parsed.limit < 1, "--limit is at least 1"),
        (parsed.processes is not None and parsed.processes < 1, "--processes is at least 1"),
        (parsed.uncertain is not None and parsed.uncertain < 1, "--uncertain is at least 1"),
    ):
        if is_wrong:
            parsed.error(message)


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Annotates files; returns the exit status. Raises TagwerkError."""
    from service.commands.annotate.command import annotate
    from service.commands.annotate.remote import path_of

    check(parsed)
    output: str | None = parsed.output
    options = {name: value for name, value in vars(parsed).items() if name in Job.__slots__}
    options |= {
        "files": [path_of(file) for file in parsed.files],
        "output": None if output is None else path_of(output),
        "output_is_folder": output is not None and output.endswith((os.sep, "/")),
        "input_format": parsed.input_format or (parsed.delimiter and "csv"),
    }
    return annotate(settings, Job(**options))

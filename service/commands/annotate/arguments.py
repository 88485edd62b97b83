"""The arguments of `tagwerk annotate`."""

import argparse
import codecs
import os
import re

from service.settings import Settings

_LARGEST_N_BEST = 5  # as in /tag
_RESOURCES = r"cpu=\d+(\.\d+)?(,gpu=\d+(\.\d+)?)?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments to a parser."""
    parser.epilog = "An interrupted run resumes where it stopped when the same command is given again."
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="lines of text, CSV, TSV, JSON Lines or CoNLL-U, also compressed with gzip, or Parquet; "
        "folders, and quoted patterns such as 'texts/**/*.csv', stand for the files in them; addresses such as "
        "s3://bucket/texts for files elsewhere; standard input by default",
    )
    parser.add_argument("--task", required=True, choices=["tag", "classify"])
    parser.add_argument(
        "--format", default="jsonl", choices=["conllu", "jsonl", "csv", "parquet"], help="jsonl by default"
    )
    parser.add_argument(
        "--output",
        help="a file, a folder for several, an address of one, or - for standard output; by default FILE.TASK.FORMAT "
        "beside each FILE",
    )
    parser.add_argument("--model", help="its name; by default the default model of the task")
    parser.add_argument(
        "--input-format",
        choices=["text", "csv", "tsv", "jsonl", "conllu", "parquet"],
        help="of all FILEs; by default determined by name and content",
    )
    parser.add_argument(
        "--text-column",
        metavar="NAME",
        help="column of tables, or member of JSON objects, with the text: text by default",
    )
    parser.add_argument(
        "--encoding", type=_encoding, default="utf-8", metavar="NAME", help="of all FILEs: utf-8 by default"
    )
    parser.add_argument(
        "--delimiter",
        type=_delimiter,
        metavar="CHARACTER",
        help="of CSV; by default determined by the header, or a line such as sep=; before it",
    )
    parser.add_argument("--tokenized", action="store_true", help="texts are sentences of tokens separated by spaces")
    parser.add_argument(
        "--n-best", type=int, default=1, metavar="N", help="tags for each token, in jsonl: 1 by default"
    )
    parser.add_argument(
        "--strict", action="store_true", help="end at the first bad row; by default they go into OUTPUT.rejected.jsonl"
    )
    parser.add_argument(
        "--allow-bad-rows", action="store_true", help="exit with 0 even if more than 1 % of the rows are left out"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="rows of each FILE, at most")
    parser.add_argument(
        "--shard", default="0/1", metavar="I/N", help="of the FILEs, only the I-th of N shares, I from 0 to N - 1"
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="run on a Ray cluster, of which each actor takes a file at a time; without an address, start one here",
    )
    parser.add_argument(
        "--actors", default="1-4", metavar="MIN-MAX", help="with --ray, how many there are; 1-4 by default"
    )
    parser.add_argument(
        "--resources",
        default="cpu=1",
        metavar="cpu=N[,gpu=N]",
        help="with --ray, what an actor takes; cpu=1 by default",
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what would be done")
    parser.add_argument(
        "--prefix", default="", help="what the names of results begin with, beside columns of the input"
    )


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
    """Returns a delimiter, a tab for `\\t`. Raises ArgumentTypeError for one that csv does not take."""
    character = "\t" if text == "\\t" else text
    if len(character) != 1 or character in '"\r\n':
        raise argparse.ArgumentTypeError(f"{text!r} is no single character such as ';' or '|', nor \\t for a tab")
    return character


def check(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    """Exits with a message if the arguments do not go together."""
    if (parsed.task, parsed.format) == ("classify", "conllu"):
        parser.error("CoNLL-U cannot hold classifications: use --format jsonl or csv")
    if parsed.task != "tag" and parsed.tokenized:
        parser.error("--tokenized is for --task tag")
    if parsed.format == "parquet" and (parsed.output == "-" or (parsed.output is None and not parsed.files)):
        parser.error("Parquet cannot go to standard output: name an --output")
    if parsed.n_best != 1 and (parsed.task, parsed.format) != ("tag", "jsonl"):
        parser.error("--n-best is for --task tag --format jsonl")
    if parsed.delimiter is not None and parsed.input_format not in (None, "csv"):
        parser.error("--delimiter is for --input-format csv")
    if parsed.strict and parsed.allow_bad_rows:
        parser.error("--strict ends at the first bad row: leave out --allow-bad-rows")
    if parsed.limit is not None and parsed.limit < 1:
        parser.error("--limit is at least 1")
    shard = re.fullmatch(r"(\d{1,6})/(\d{1,6})", parsed.shard)
    if shard is None or int(shard[1]) >= int(shard[2]):
        parser.error("--shard is I/N, I from 0 to N - 1: of four shares, 0/4 to 3/4")
    actors = re.fullmatch(r"(\d{1,6})-(\d{1,6})", parsed.actors)
    if actors is None or not 1 <= int(actors[1]) <= int(actors[2]):
        parser.error("--actors is MIN-MAX, from 1 on: 2-16")
    if re.fullmatch(_RESOURCES, parsed.resources) is None:
        parser.error("--resources is cpu=N or cpu=N,gpu=N")
    if parsed.ray and re.fullmatch(r"auto|(ray://)?[^/\s]+:\d+", parsed.ray) is None:
        parser.error(f"--ray {parsed.ray} is no address of a cluster, HOST:PORT or auto; name files before --ray")
    if parsed.ray is not None and (not parsed.files or "-" in [*parsed.files, parsed.output]):
        parser.error("--ray needs files: standard input and output are only here")
    if not 1 <= parsed.n_best <= _LARGEST_N_BEST:
        parser.error(f"--n-best is from 1 to {_LARGEST_N_BEST}")


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Annotates files; returns the exit status. Raises TagwerkError."""
    from service.commands.annotate.command import annotate, import_on_ray
    from service.commands.annotate.job import Job
    from service.commands.annotate.remote import path_of

    output: str | None = parsed.output
    index, number = map(int, parsed.shard.split("/"))
    job = Job(
        files=[path_of(file) for file in parsed.files],
        task=parsed.task,
        form=parsed.format,
        output=None if output is None else path_of(output),
        output_is_folder=output is not None and output.endswith((os.sep, "/")),
        model=parsed.model,
        input_format=parsed.input_format or (parsed.delimiter and "csv"),
        text_column=parsed.text_column,
        tokenized=parsed.tokenized,
        prefix=parsed.prefix,
        n_best=parsed.n_best,
        strict=parsed.strict,
        encoding=parsed.encoding,
        delimiter=parsed.delimiter,
        allow_bad_rows=parsed.allow_bad_rows,
        limit=parsed.limit,
        shard=(index, number),
        dry_run=parsed.dry_run,
    )
    if parsed.ray is None:
        return annotate(settings, job)
    least, most = map(int, parsed.actors.split("-"))
    resources = dict(one.split("=") for one in parsed.resources.split(","))
    cluster = import_on_ray().Cluster(
        parsed.ray, (least, most), float(resources["cpu"]), float(resources.get("gpu", 0))
    )
    return annotate(settings, job, cluster)

"""`tagwerk-train train tagger`, `classifier` and `language-model`: their arguments, and what they run."""

import argparse
import importlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.errors import ConfigurationError
from training.folders import model_store

if TYPE_CHECKING:
    from training.from_files.options import Options

KINDS = {  # a module of this folder, what the command does, and the format of its files
    "tagger": ("Trains a tagger on a treebank; it gives lemmas, too, if the treebank has them.", "CoNLL-U"),
    "classifier": ("Trains a classifier on labelled texts in a table.", ".csv, .tsv, .jsonl or .parquet"),
    "language-model": ("Trains a language model on a text, character by character.", "plain text"),
}


def add_commands(kinds: Any) -> None:
    """Adds a subcommand for each kind of model. kinds: what `add_subparsers` returned."""
    for name, (about, form) in KINDS.items():
        kind = kinds.add_parser(name, help=about, description=about)
        kind.add_argument("--name", required=name == "language-model", help="of the model; by default that of --from")
        data = f"{form}, or that in .gz"
        if name != "language-model":
            data += "; by default, with --from, the corpora of the version's recipe"
        kind.add_argument("--data", type=Path, required=name == "language-model", metavar="FILE", help=data)
        if name == "classifier":
            add_columns(kind)
        if name == "tagger":
            what = "words, what they may be, and lemmas: spacy for the package spacy-lookups-data, or a file with tabs"
            kind.add_argument("--lexicon", metavar="FILE", default="", help=what)
            what = "another treebank of the language, to learn what agrees with the data from; any number of times"
            kind.add_argument("--related", type=Path, action="append", default=[], metavar="FILE", help=what)
            what = "multilingual, all-mpnet-base-v2 for English, or a folder: a large network that teaches the tagger"
            kind.add_argument("--teacher", metavar="NAME", default="", help=what)
        if name != "language-model":
            what = "a version, such as tagger-en or tagger-en/14, to go on from: FILE has corrections"
            kind.add_argument("--from", dest="base", metavar="NAME", default="", help=what)
            what = "plain text, of which the model learns what a teacher answers, or keeps what it answered before"
            kind.add_argument("--unlabelled", type=Path, metavar="FILE", help=what)
            for split in ("dev", "test"):
                kind.add_argument(f"--{split}", type=Path, metavar="FILE", help="a tenth of the data by default")
        kind.add_argument("--language", default="und", help="a tag of BCP 47, such as de")
        kind.add_argument("--licence", default="not stated", help="of the data, for the model card")
        kind.add_argument("--seed", type=int, default=1, help="of the run and of the splits; 1 by default")
        kind.add_argument("--quick", action="store_true", help="a smaller model, in about three minutes")
        what = "a setting of the recipe, such as epochs=5 or sizes.units=128; any number of times"
        kind.add_argument("--set", type=_setting, action="append", default=[], metavar="KEY=VALUE", help=what)


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the columns of a table."""
    parser.add_argument("--text-column", metavar="NAME", default="text", help="text by default")
    parser.add_argument("--label-column", metavar="NAME", default="label", help="label by default")


def train(arguments: argparse.Namespace) -> None:
    """Reads the files, trains, compares with simple models, and writes a version to the store."""
    from rich.console import Console

    from training.from_files.run import make
    from training.run.loop import set_threads

    options = options_of(arguments, shlex.join(["tagwerk-train", *sys.argv[1:]]))
    console = Console()
    set_threads(1)
    name = arguments.recipe.replace("-", "_")
    if options.base:
        task = importlib.import_module(f".further_{name}", __package__).read_task(options, model_store(), console)
    else:
        task = importlib.import_module(f".{name}", __package__).read_task(options, console)
    make(task, options, model_store(), console)


def options_of(arguments: argparse.Namespace, command: str) -> "Options":
    """Returns the options that arguments are. Raises ConfigurationError.

    command: the command line with these arguments.
    """
    from training.from_files.options import Options

    given = vars(arguments)
    base = given.get("base", "")
    if not arguments.name and not base:
        raise ConfigurationError(
            "neither --name nor --from; right: the name of a new model, or the version to go on from"
        )
    if not arguments.data and (not base or given["dev"] or given["test"]):
        raise ConfigurationError(
            "no --data; right: --data FILE, or --from alone for the corpora of the version's recipe"
        )
    files = {"train": arguments.data, "dev": given.get("dev"), "test": given.get("test")}
    return Options(
        name=arguments.name or base.partition("/")[0],
        base=base,
        language=arguments.language,
        files={split: path for split, path in files.items() if path},
        licence=arguments.licence,
        seed=arguments.seed,
        quick=arguments.quick,
        lexicon=given.get("lexicon", ""),
        teacher=given.get("teacher", ""),
        related=given.get("related", ()),
        unlabelled=given.get("unlabelled"),
        text_column=given.get("text_column", ""),
        label_column=given.get("label_column", ""),
        changes=arguments.set,
        command=command,
    )


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return name, value

